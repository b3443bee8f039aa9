// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    /// A store whose customer keys are in a token.
    @Suite struct StoreTests {
        @Test func `a store opens with a token, and obeys what is forbidden there`() async throws {
            try await withProvider { _, provider in
                let key = KeyReference(try await provider.createKey(alias: "alias/team").id)
                let directory = try TemporaryDirectory()
                let text = Array("in the keeping of a token".utf8)
                let large = TestData.random(300_000, seed: 1)
                var store = try await Store.open(at: directory.path, keyProvider: provider)
                #expect(store.keyService == nil)
                var configuration = BucketConfiguration()
                configuration.encryption = .customerKey(try KeyReference("alias/team"))
                var bucket = try await store.defaultAccount.createBucket(
                    "team/app", configuration: configuration)
                let small = try await bucket.putBlob(text.span).digest
                let digest = try await bucket.putBlob(large.span).digest
                try await store.close()

                store = try await Store.open(at: directory.path, keyProvider: provider)
                bucket = try await store.defaultAccount.bucket("team/app")
                #expect(try await bucket.describe().encryption == .customerKey(key))
                #expect(try await bucket.openBlob(small).readAll(upTo: 100) == text)
                try await provider.setKey(key, isEnabled: false)
                store.flushKeys()
                await #expect(throws: StoreError(.keyDisabled, "")) {
                    _ = try await bucket.openBlob(digest)
                }
                try await provider.setKey(key, isEnabled: true)
                try await provider.rotateKey(key)
                #expect(try await store.rewrapKeys(under: key).rewrappedCount > 0)
                try await bucket.setEncryption(.storeManaged)
                try await provider.setKey(key, isEnabled: false)
                store.flushKeys()
                let blob = try await store.defaultAccount.bucket("team/app").openBlob(digest)
                let isSame = try await blob.readAll(upTo: 1 << 20) == large
                #expect(isSame)
                #expect(try await store.verify().isSound)
                #expect(try await store.verifyAudit().isSound)
                try await store.close()
            }
        }
    }
}
