// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore

// Stores a text as a blob, reads it back and prints its digest.
let directory = CommandLine.arguments[1]
let text = Array(CommandLine.arguments[2].utf8)

// Creates the store, and a key file in it, if it is not there.
let store = try await Store.open(at: directory)
let bucket = try await store.defaultAccount.createBucket("example/texts")

// The blob is on stable storage when this returns.
let blob = try await bucket.putBlob(text.span)

// Every byte has been authenticated before it arrives here.
var copy: [UInt8] = []
for try await bytes in try await bucket.openBlob(blob.digest).bytes() {
    copy += bytes
}
guard copy == text else { throw StoreError(.corrupted, "not what was stored") }

print(blob.digest)
try await store.close()
