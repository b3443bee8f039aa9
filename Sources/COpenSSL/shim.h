// Part of Cairn, a content-addressed blob store.

// The low-level SHA functions are deprecated in favour of EVP, whose contexts cannot be saved:
// a resumable upload needs the plain struct.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
