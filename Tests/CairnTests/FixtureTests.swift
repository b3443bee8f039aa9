// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Testing

@testable import Cairn

/// Stores that earlier releases have written must open, read, change and repair for ever.
///
/// `Fixtures` has a store of each format version, as it was left by a release of that version.
/// With `CAIRN_WRITE_FIXTURE=DIR` the test makes one of the present version there instead.
@Suite struct FixtureTests {
    private static let text = TestData.compressible(300_000, seed: 300)
    private static let noise = TestData.random(1_100_000, seed: 301)
    private static let small = TestData.random(900, seed: 302)
    private static let half = 1_060_000

    private static func digest(_ bytes: [UInt8]) -> Digest { Digest.sha256(of: bytes.span) }

    private static var fixtures: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures")
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["CAIRN_WRITE_FIXTURE"] != nil))
    func `a store of this version is written where the environment says`() async throws {
        let path = try #require(ProcessInfo.processInfo.environment["CAIRN_WRITE_FIXTURE"])
        var configuration = StoreConfiguration()
        // The session must be there for as long as anybody runs this.
        configuration.uploadLifetime = .seconds(100 * 365 * 24 * 3600)
        let store = try await Store.open(at: path, configuration: configuration)
        let one = try await store.defaultAccount.createBucket("library/one")
        for blob in [Self.text, Self.noise, Self.small, []] { try await one.put(blob) }
        let session = try await one.beginUpload(algorithm: .sha512)
        try await session.append(Self.text.span)
        try await session.commit()
        let other = try await store.createAccount("tenant").createBucket("two")
        try await other.put(Self.text)
        let third = try await store.defaultAccount.createBucket("three")
        try await third.mountBlob(Self.digest(Self.noise), from: one)
        try await third.putObject(
            "a/key", Self.small.span,
            attributes: ObjectAttributes(
                contentType: "text/plain", metadata: ["name": "value"]),
            references: [Self.digest(Self.noise)])
        let gone = try await store.defaultAccount.createBucket("gone")
        try await gone.put(TestData.random(30_000, seed: 303))
        try await store.defaultAccount.deleteBucket("gone", contents: .delete)
        let upload = try await third.beginUpload()
        try await upload.append(Self.noise.span.extracting(..<Self.half))
        try await upload.suspend()
        try await store.close()
        // RocksDB's messages are no part of a store.
        let index = path + "/index/"
        for name in try FileManager.default.contentsOfDirectory(atPath: index)
        where name.hasPrefix("LOG") {
            try FileManager.default.removeItem(atPath: index + name)
        }
    }

    @Test(arguments: ["version1"], [false, true])
    func `a store of an earlier version opens, and comes back without its index`(
        _ version: String, _ losesIndex: Bool
    ) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("store")
        try FileManager.default.copyItem(
            at: Self.fixtures.appendingPathComponent(version), to: URL(fileURLWithPath: path))
        for (name, mode) in [("", 0o700), ("/keyring.key", 0o600)] {
            try FileManager.default.setAttributes(
                [.posixPermissions: mode], ofItemAtPath: path + name)
        }
        if losesIndex {
            try FileManager.default.removeItem(atPath: path + "/index")
            let report = try await Store.repair(at: path)
            #expect(report.source == .catalogue)
            #expect(report.lostBlobs == [])
        }
        let store = try await Store.open(at: path)
        try await check(store)
        try await Self.expectContents(of: store)
        if !losesIndex { try await Self.expectUpload(in: store) }
        // And it goes on.
        let one = try await store.defaultAccount.bucket("library/one")
        try await one.deleteBlob(Self.digest(Self.text))
        try await one.put(TestData.random(50_000, seed: 304))
        #expect(try await store.sweep().bucketCount == 1)
        try await store.compact()
        try await store.scrub()
        try await check(store)
        try await store.close()
    }

    private static func expectContents(of store: Store) async throws {
        let one = try await store.defaultAccount.bucket("library/one")
        for blob in [text, noise, small, []] {
            #expect(try await one.contents(digest(blob)) == blob)
        }
        #expect(try await one.contents(Digest.sha512(of: text.span)) == text)
        #expect(try await store.account("tenant").bucket("two").contents(digest(text)) == text)
        let third = try await store.defaultAccount.bucket("three")
        let object = try await third.headObject("a/key")
        #expect(object.contentType == "text/plain")
        #expect(object.metadata == ["name": "value"])
        #expect(object.referenceCount == 1)
        #expect(try await third.references(of: "a/key") == [digest(noise)])
        #expect(try await third.objects().objects == [object])
        #expect(try await third.contents(digest(small)) == small)
        #expect(try await one.describe().blobCount == 5)
    }

    // The chunk the session had stored is a duplicate of the noise: nothing is stored for it.
    private static func expectUpload(in store: Store) async throws {
        let third = try await store.defaultAccount.bucket("three")
        let found = try #require(try await third.uploads().first)
        let session = try await third.resumeUpload(found.id)
        #expect(session.status.receivedByteCount == UInt64(half))
        let bytes = Array(noise[..<half]) + small
        try await session.append(small.span)
        try await session.commit(expecting: digest(bytes))
        #expect(try await third.contents(digest(bytes)) == bytes)
    }
}
