// Part of Cairn, a content-addressed blob store.
#include <lz4.h>
