// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct DomainKeysTests {
    @Test func `the same bytes get the same name and key, in one domain only`() throws {
        let plaintext = TestData.random(1_000, seed: 1)
        let base = try identity(of: plaintext, secretSeed: 1, store: 1, domain: 1)
        #expect(try identity(of: plaintext, secretSeed: 1, store: 1, domain: 1) == base)
        let others = [
            try identity(of: plaintext, secretSeed: 2, store: 1, domain: 1),
            try identity(of: plaintext, secretSeed: 1, store: 2, domain: 1),
            try identity(of: plaintext, secretSeed: 1, store: 1, domain: 2),
            try identity(of: plaintext + [0], secretSeed: 1, store: 1, domain: 1),
        ]
        // Hash, name and key: all three differ from each other and between all the domains.
        let all = (others + [base]).flatMap { $0 }
        #expect(Set(all).count == 15)
    }

    @Test func `a chunk's hash is not its public digest`() throws {
        let plaintext = TestData.random(1_000, seed: 1)
        let hash = try keys(secretSeed: 1, store: 1, domain: 1).chunkHash(of: plaintext.span)
        #expect(hash.octets != SHA256.digest(of: plaintext.span))
    }

    @Test func `the length is part of a chunk's name and key`() throws {
        let keys = try keys(secretSeed: 1, store: 1, domain: 1)
        let hash = keys.chunkHash(of: Span())
        #expect(keys.chunkID(hash, byteCount: 1) != keys.chunkID(hash, byteCount: 2))
        let first = keys.withChunkKey(hash, byteCount: 1) { [UInt8](copying: $0) }
        let second = keys.withChunkKey(hash, byteCount: 2) { [UInt8](copying: $0) }
        #expect(first != second)
        #expect(first.count == 32)
    }

    @Test func `the hasher gives a chunk's hash, also beside a blob's digest`() throws {
        let keys = try keys(secretSeed: 1, store: 1, domain: 1)
        let plaintext = TestData.random(100_000, seed: 2)
        var blob = SHA256()
        var chunk = keys.hasher
        #expect(chunk.byteCount == 64)
        SHA256.update(&blob, &chunk, with: plaintext.span)
        #expect(ChunkHash(chunk.finalized()) == keys.chunkHash(of: plaintext.span))
        #expect(blob.finalized() == SHA256.digest(of: plaintext.span))
    }

    @Test(arguments: [0, 31, 33])
    func `a secret of another size is refused`(count: Int) {
        let secret = SecretBytes(copying: [UInt8](repeating: 1, count: count).span)
        #expect(throws: CoreError(.invalidArgument, "")) {
            try DomainKeys(domainSecret: secret, storeID: Octets16(), domainID: Octets16())
        }
    }

    /// Computed by Python's hmac and hashlib from the description in ``DomainKeys``.
    @Test func `the derivation never changes`() throws {
        let secret = SecretBytes(copying: [UInt8](0..<32).span)
        let storeID = [UInt8](repeating: 0xa1, count: 16)
        let domainID = [UInt8](repeating: 0xb2, count: 16)
        let keys = try DomainKeys(
            domainSecret: secret, storeID: Octets16(storeID.span),
            domainID: Octets16(domainID.span))
        let hash = keys.chunkHash(of: Array("cairn".utf8).span)
        let key = keys.withChunkKey(hash, byteCount: 5) { [UInt8](copying: $0) }
        #expect(
            hash.octets.bytes.hex
                == "bd30a1ad2ea75f489d7c092f161f9c477758148e25ec8fe5da59e782e20daad2")
        #expect(
            keys.chunkID(hash, byteCount: 5).description
                == "b6ae697dbffc06ca00f08adc348a9623c7741260ccb18ed6d72be73c02c18ae0")
        #expect(
            key.hex
                == "ce581cd6eac4b62cccd02d7a87eaed90f5317e7fac793dfaca54ecc9f3ecd4bf")
    }

    private func keys(secretSeed: UInt64, store: UInt8, domain: UInt8) throws -> DomainKeys {
        let storeID = [UInt8](repeating: store, count: 16)
        let domainID = [UInt8](repeating: domain, count: 16)
        return try DomainKeys(
            domainSecret: .random(byteCount: 32, from: SeededRandom(seed: secretSeed)),
            storeID: Octets16(storeID.span), domainID: Octets16(domainID.span))
    }

    /// Hash, name and key of a chunk.
    private func identity(
        of plaintext: [UInt8], secretSeed: UInt64, store: UInt8, domain: UInt8
    ) throws -> [[UInt8]] {
        let keys = try keys(secretSeed: secretSeed, store: store, domain: domain)
        let hash = keys.chunkHash(of: plaintext.span)
        let byteCount = UInt32(plaintext.count)
        return [
            hash.octets.bytes, keys.chunkID(hash, byteCount: byteCount).octets.bytes,
            keys.withChunkKey(hash, byteCount: byteCount) { [UInt8](copying: $0) },
        ]
    }
}
