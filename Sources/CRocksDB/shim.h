// Part of Cairn, a content-addressed blob store.
#include <rocksdb/c.h>
