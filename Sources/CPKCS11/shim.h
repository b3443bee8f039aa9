// Part of Cairn, a content-addressed blob store.
#include <p11-kit/pkcs11.h>
