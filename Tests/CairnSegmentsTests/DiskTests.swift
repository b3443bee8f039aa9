// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@testable import CairnSegments

enum DiskKind: CaseIterable {
    case local, simulated

    func withDisk(_ body: (any Disk) throws -> Void) throws {
        switch self {
        case .simulated: try body(SimulatedDisk())
        case .local: try withTemporaryDirectory { try body(LocalDisk(root: $0)) }
        }
    }
}

extension DiskFile {
    func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
        try write(bytes.span, at: offset)
    }

    func read(_ count: Int, at offset: UInt64) throws(DiskError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: count)
        var span = bytes.mutableSpan
        let found = try read(into: &span, at: offset)
        return Array(bytes[..<found])
    }
}

/// What every disk does alike: the simulated one stands in for the real one.
@Suite struct DiskTests {
    @Test(arguments: DiskKind.allCases) func `bytes written are read back`(_ kind: DiskKind) throws
    {
        try kind.withDisk { disk in
            let file = try disk.open("file", .create)
            try file.write([1, 2, 3], at: 0)
            try file.write([9], at: 5)
            try file.sync()
            #expect(try file.byteCount() == 6)
            #expect(try file.read(10, at: 0) == [1, 2, 3, 0, 0, 9])
            #expect(try file.read(2, at: 1) == [2, 3])
            #expect(try file.read(2, at: 6) == [])
            #expect(try file.read(0, at: 0) == [])
            try file.truncate(to: 2)
            try file.truncate(to: 4)
            #expect(try file.read(10, at: 0) == [1, 2, 0, 0])
            try file.allocate(byteCount: 9000)
            #expect(try file.byteCount() == 9000)
            try file.allocate(byteCount: 10)
            #expect(try file.byteCount() == 9000)
            let other = try disk.open("file", .read)
            #expect(try other.read(2, at: 0) == [1, 2])
        }
    }

    @Test(arguments: DiskKind.allCases)
    func `a file past the cache takes every offset and length`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            let file = try disk.open("file", .create.bypassingCache)
            var expected = [UInt8](repeating: 0, count: 40_000)
            let blocks = AlignedBuffer(byteCount: 8192)
            blocks.withMutableSpan(0..<8192) { bytes in
                for index in 0..<8192 { bytes[index] = UInt8(index % 251) }
            }
            for (offset, range) in [
                (0, 0..<8192), (8192, 1..<5000), (20_000, 0..<4096), (3, 0..<7),
            ] {
                try blocks.withSpan(range) { (bytes) throws(DiskError) in
                    try file.write(bytes, at: UInt64(offset))
                }
                for index in range {
                    expected[offset + index - range.lowerBound] = UInt8(index % 251)
                }
            }
            try file.truncate(to: 40_000)
            try file.sync()
            #expect(try file.read(40_000, at: 0) == expected)
            let reader = try disk.open("file", .read.bypassingCache)
            for range in [0..<8192, 4096..<12288, 36_864..<40_960, 100..<4196] {
                var found = 0
                let bytes = try blocks.withMutableSpan(0..<range.count) {
                    (bytes) throws(DiskError) in
                    found = try reader.read(into: &bytes, at: UInt64(range.lowerBound))
                    return [UInt8](copying: bytes.span)
                }
                let clamped = range.clamped(to: 0..<40_000)
                #expect(found == clamped.count)
                #expect(Array(bytes[..<found]) == Array(expected[clamped]))
            }
        }
    }

    @Test(arguments: DiskKind.allCases)
    func `names are created, renamed, listed and removed`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            try disk.createDirectory("a")
            try disk.createDirectory("a/b")
            for name in ["a/2", "a/10", "a/b/x", "top"] {
                try disk.open(name, .create).write([1], at: 0)
            }
            #expect(try disk.list("") == ["a", "top"])
            #expect(try disk.list("a") == ["10", "2", "b"])
            try disk.rename("a/2", to: "a/b/x")
            #expect(try disk.list("a/b") == ["x"])
            #expect(try disk.exists("a/b/x"))
            #expect(try disk.exists(""))
            #expect(try !disk.exists("a/2"))
            #expect(try !disk.exists("nowhere/2"))
            try disk.remove("a/b/x")
            #expect(try disk.list("a/b") == [])
            try disk.syncDirectory("")
            try disk.syncDirectory("a/b")
            #expect(try disk.freeByteCount() > 0)
        }
    }

    @Test(arguments: DiskKind.allCases) func `each refusal has its code`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            try disk.createDirectory("a")
            let file = try disk.open("f", .create)
            func opening(_ path: String, _ mode: DiskOpenMode) -> DiskError.Code? {
                diskCode { () throws(DiskError) in _ = try disk.open(path, mode) }
            }
            #expect(opening("g", .read) == .notFound)
            #expect(opening("g", .readWrite) == .notFound)
            #expect(opening("b/g", .create) == .notFound)
            #expect(opening("f", .create) == .exists)
            #expect(opening("a", .read) == .notRegularFile)
            #expect(opening("a", .readWrite) == .notRegularFile)
            for path in ["", "/f", "../f", "a/../f", "./f", "a//f", "f/", "a\0b", "../\u{301}f"] {
                #expect(opening(path, .read) == .invalidArgument)
            }
            #expect(opening(String(repeating: "x", count: 5000), .read) == .invalidArgument)
            #expect(diskCode { () throws(DiskError) in try disk.remove("g") } == .notFound)
            #expect(diskCode { () throws(DiskError) in try disk.remove("a") } == .notRegularFile)
            #expect(
                diskCode { () throws(DiskError) in try disk.createDirectory("a") } == .exists)
            #expect(
                diskCode { () throws(DiskError) in _ = try disk.list("f") } == .notRegularFile)
            #expect(diskCode { () throws(DiskError) in _ = try disk.list("b") } == .notFound)
            #expect(
                diskCode { () throws(DiskError) in try disk.rename("g", to: "h") } == .notFound)
            file.close()
            file.close()
            #expect(diskCode { () throws(DiskError) in try file.sync() } == .closed)
            #expect(diskCode { () throws(DiskError) in try file.write([1], at: 0) } == .closed)
            #expect(diskCode { () throws(DiskError) in _ = try file.read(1, at: 0) } == .closed)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func `a file is replaced as a whole and read as a whole`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            try disk.createDirectory("d")
            try disk.replace("d/f", with: ([1, 2, 3] as [UInt8]).span)
            #expect(try disk.readAll("d/f", upTo: 3) == [1, 2, 3])
            // A crash in the middle of an earlier call has left its file.
            try disk.open("d/f.new", .create).write([7, 7, 7, 7, 7], at: 0)
            try disk.replace("d/f", with: ([4] as [UInt8]).span)
            #expect(try disk.readAll("d/f", upTo: 3) == [4])
            #expect(try disk.list("d") == ["f"])
            #expect(
                diskCode { () throws(DiskError) in _ = try disk.readAll("d/f", upTo: 0) }
                    == .limitExceeded)
            #expect(
                diskCode { () throws(DiskError) in _ = try disk.readAll("d/g", upTo: 9) }
                    == .notFound)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func `a removed file can be used by those who have it open`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            let file = try disk.open("f", .create)
            try file.write([1], at: 0)
            try disk.remove("f")
            #expect(try file.read(1, at: 0) == [1])
            try disk.open("f", .create).write([2], at: 0)
            #expect(try file.read(1, at: 0) == [1])
        }
    }

    @Test(arguments: DiskKind.allCases)
    func `a lock is held by one until it is released`(_ kind: DiskKind) throws {
        try kind.withDisk { disk in
            var first: (any DiskLock)? = try disk.lock("lock")
            #expect(diskCode { () throws(DiskError) in _ = try disk.lock("lock") } == .locked)
            first?.release()
            first?.release()
            var second: (any DiskLock)? = try disk.lock("lock")
            first = nil
            #expect(diskCode { () throws(DiskError) in _ = try disk.lock("lock") } == .locked)
            #expect(second != nil)
            second = nil
            try disk.lock("lock").release()
        }
    }
}
