// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

/// Random multipart uploads against a dictionary of what they must become, with power cuts.
@Suite struct MultipartModelTests {
    private static let stepCount = 120

    private struct Model {
        var parts: [MultipartUploadID: [Int: [UInt8]]] = [:]
        var objects: [String: Digest] = [:]
    }

    private struct World {
        var simulated = SimulatedStore()
        var store: Store
        var bucket: Bucket
        var model = Model()
        var keys: [MultipartUploadID: String] = [:]
        var random: SeededGenerator

        init(seed: UInt64) async throws {
            store = try await simulated.open(seed: seed)
            bucket = try await store.defaultAccount.createBucket("objects")
            random = SeededGenerator(seed: seed)
        }

        mutating func reopen(_ next: SimulatedStore, seed: UInt64) async throws {
            simulated = next
            store = try await simulated.open(seed: seed)
            bucket = try await store.defaultAccount.bucket("objects")
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6])
    func `uploads are what was put into them, whatever happens in between`(
        _ seed: UInt64
    ) async throws {
        var world = try await World(seed: seed)
        for step in 0..<Self.stepCount {
            try await Self.step(&world, UInt64(step) + 1000 * seed)
        }
        try await Self.compare(world)
        for id in world.model.parts.keys {
            try await Self.upload(id, world).abort()
        }
        for key in world.model.objects.keys { try await world.bucket.deleteObject(key) }
        _ = try await world.store.sweep()
        #expect(try await world.store.statistics().chunkCount == 0)
        try await check(world.store)
        try await world.store.close()
    }

    private static func upload(
        _ id: MultipartUploadID, _ world: World
    ) throws -> MultipartUpload {
        try world.bucket.multipartUpload(id, of: #require(world.keys[id]))
    }

    private static func step(_ world: inout World, _ seed: UInt64) async throws {
        let ids = world.model.parts.keys.sorted { $0.description < $1.description }
        let chosen = ids.randomElement(using: &world.random)
        switch (Int.random(in: 0..<20, using: &world.random), chosen) {
        case (_, nil), (0, _):
            let key = ["a", "b", "c"].randomElement(using: &world.random) ?? "a"
            let upload = try await world.bucket.beginMultipartUpload(key)
            world.model.parts[upload.id] = [:]
            world.keys[upload.id] = key
        case (1, let id?):
            try await upload(id, world).abort()
            world.model.parts[id] = nil
        case (2...3, let id?): try await complete(id, &world)
        case (4, _): _ = try await world.store.sweep()
        case (5, _):
            let next = world.simulated.afterPowerCut(seed: seed)
            try await world.store.close()
            try await world.reopen(next, seed: seed)
            try await check(world.store)
            try await compare(world)
        case (6, let id?): try await putAtOnce(id, &world)
        case (_, let id?):
            let number = Int.random(in: 1...6, using: &world.random)
            let bytes = piece(&world)
            try await upload(id, world).put(number, bytes)
            world.model.parts[id, default: [:]][number] = bytes
        }
    }

    // Few kinds of pieces, so that there are duplicates among parts and uploads.
    private static func piece(_ world: inout World) -> [UInt8] {
        let seed = UInt64.random(in: 0..<4, using: &world.random)
        let counts = [0, 100, 16 << 10, 20_000, 90_000, 1_100_000]
        let count = counts.randomElement(using: &world.random) ?? 0
        return Bool.random(using: &world.random)
            ? TestData.random(count, seed: seed) : TestData.compressible(count, seed: seed)
    }

    private static func putAtOnce(
        _ id: MultipartUploadID, _ world: inout World
    ) async throws {
        let pieces = (1...6).map { _ in piece(&world) }
        let upload = try upload(id, world)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, bytes) in pieces.enumerated() {
                group.addTask { _ = try await upload.put(index + 1, bytes) }
            }
            try await group.waitForAll()
        }
        for (index, bytes) in pieces.enumerated() {
            world.model.parts[id, default: [:]][index + 1] = bytes
        }
    }

    private static func complete(
        _ id: MultipartUploadID, _ world: inout World
    ) async throws {
        let upload = try upload(id, world)
        let parts = world.model.parts[id, default: [:]]
        let wanted = parts.keys.sorted().filter { _ in
            Int.random(in: 0..<4, using: &world.random) > 0
        }
        let etags = try await upload.parts()
        let list = wanted.compactMap { number in
            etags.first { $0.number == number }.map {
                MultipartUpload.CompletedPart(number: number, etag: $0.etag)
            }
        }
        guard !list.isEmpty else { return }
        let bytes = wanted.flatMap { parts[$0, default: []] }
        let object = try await upload.complete(parts: list, byteCount: UInt64(bytes.count))
        #expect(object.digest == Contents(array: bytes).digest)
        world.model.parts[id] = nil
        world.model.objects[object.key] = object.digest
    }

    private static func compare(_ world: World) async throws {
        let uploads = try await world.bucket.multipartUploads().uploads
        #expect(Set(uploads.map(\.id)) == Set(world.model.parts.keys))
        for upload in uploads {
            let parts = try await Self.upload(upload.id, world).parts()
            let expected = world.model.parts[upload.id, default: [:]]
            #expect(parts.map(\.number) == expected.keys.sorted())
            for part in parts {
                #expect(part.byteCount == UInt64(expected[part.number, default: []].count))
            }
            #expect(upload.partCount == expected.count)
            #expect(upload.byteCount == UInt64(expected.values.reduce(0) { $0 + $1.count }))
        }
        let objects = try await world.bucket.objects().objects
        #expect(objects.map(\.key) == world.model.objects.keys.sorted())
        for object in objects {
            #expect(object.digest == world.model.objects[object.key])
            let (_, blob) = try await world.bucket.openObject(object.key)
            var contents = Contents()
            for try await buffer in blob.bytes() { contents.array += buffer }
            #expect(contents.digest == object.digest)
        }
    }
}
