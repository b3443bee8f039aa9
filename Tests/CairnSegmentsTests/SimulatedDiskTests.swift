// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTesting
import Testing

/// The simulated disk must be as bad as a real one, or crash tests prove nothing.
@Suite struct SimulatedDiskTests {
    private func withFile(
        _ body: (SimulatedDisk, any DiskFile) throws -> Void
    ) throws {
        let disk = SimulatedDisk()
        let file = try disk.open("f", .create)
        try disk.syncDirectory("")
        try body(disk, file)
    }

    @Test func `bytes are lost without a sync of the file, names without one of the directory`()
        throws
    {
        let disk = SimulatedDisk()
        let file = try disk.open("f", .create)
        try file.write([1, 2], at: 0)
        #expect(disk.crash(.dropAll).contents(of: "f") == nil)
        #expect(disk.crash(.keepAll).contents(of: "f") == [1, 2])
        try file.sync()
        #expect(disk.crash(.dropAll).contents(of: "f") == nil, "the name is another matter")
        try disk.syncDirectory("")
        #expect(disk.crash(.dropAll).contents(of: "f") == [1, 2])
        try file.write([3], at: 2)
        #expect(disk.crash(.dropAll).contents(of: "f") == [1, 2])
        #expect(disk.contents(of: "f") == [1, 2, 3], "a crash leaves the disk itself as it is")
    }

    @Test func `a name that was synced before the bytes leads to an empty file`() throws {
        try withFile { disk, file in
            try file.write([1], at: 0)
            #expect(disk.crash(.dropAll).contents(of: "f") == [])
        }
    }

    @Test func `removals and renames are undone until the directory is synced`() throws {
        try withFile { disk, file in
            try file.write([1], at: 0)
            try file.sync()
            try disk.rename("f", to: "g")
            #expect(disk.crash(.dropAll).contents(of: "f") == [1])
            #expect(disk.crash(.keepAll).contents(of: "g") == [1])
            try disk.syncDirectory("")
            #expect(disk.crash(.dropAll).contents(of: "g") == [1])
            #expect(disk.crash(.dropAll).contents(of: "f") == nil)
            try disk.remove("g")
            #expect(disk.crash(.dropAll).contents(of: "g") == [1])
            try disk.syncDirectory("")
            #expect(disk.crash(.dropAll).contents(of: "g") == nil)
        }
    }

    @Test func `a move between directories is durable when both were synced`() throws {
        let disk = SimulatedDisk()
        try disk.createDirectory("a")
        try disk.createDirectory("b")
        try disk.open("a/f", .create).write([1], at: 0)
        try disk.open("a/f", .read).sync()
        for directory in ["", "a", "b"] { try disk.syncDirectory(directory) }
        try disk.rename("a/f", to: "b/f")
        try disk.syncDirectory("b")
        #expect(disk.crash(.dropAll).contents(of: "a/f") == [1])
        try disk.syncDirectory("a")
        #expect(disk.crash(.dropAll).contents(of: "b/f") == [1])
        #expect(disk.crash(.dropAll).contents(of: "a/f") == nil)
    }

    @Test func `a directory whose name is lost takes along what is in it`() throws {
        let disk = SimulatedDisk()
        try disk.createDirectory("a")
        try disk.open("a/f", .create).sync()
        try disk.syncDirectory("a")
        #expect(try disk.crash(.dropAll).list("") == [])
        try disk.syncDirectory("")
        #expect(disk.crash(.dropAll).contents(of: "a/f") == [])
    }

    @Test func `among many seeds a write is kept, dropped and torn at sectors`() throws {
        try withFile { disk, file in
            try file.write([UInt8](repeating: 0, count: 2048), at: 0)
            try file.sync()
            try file.write([UInt8](repeating: 1, count: 2048), at: 0)
            var seen: Set<[UInt8]> = []
            for seed in 0..<400 as Range<UInt64> {
                let bytes = try #require(disk.crash(seed: seed).contents(of: "f"))
                let sectors = stride(from: 0, to: 2048, by: 512).map { bytes[$0] }
                for index in bytes.indices { #expect(bytes[index] == sectors[index / 512]) }
                seen.insert(sectors)
                #expect(disk.crash(seed: seed).contents(of: "f") == bytes, "the same each time")
            }
            #expect(seen.count == 16, "all fates of four sectors")
        }
    }

    @Test func `a later write can survive an earlier one`() throws {
        try withFile { disk, file in
            try file.write([UInt8](repeating: 1, count: 512), at: 0)
            try file.write([UInt8](repeating: 2, count: 512), at: 512)
            let survives = (0..<100 as Range<UInt64>).contains { seed in
                guard let bytes = disk.crash(seed: seed).contents(of: "f"), bytes.count == 1024
                else { return false }
                return bytes[0] == 0 && bytes[512] == 2
            }
            #expect(survives)
        }
    }

    @Test func `what a failed sync has lost no later sync brings back`() throws {
        try withFile { disk, file in
            try file.write([1], at: 0)
            disk.fail(.sync, at: 1)
            #expect(diskCode { () throws(DiskError) in try file.sync() } == .io)
            try file.sync()
            #expect(try file.read(1, at: 0) == [1], "it is still to be read")
            #expect(disk.crash(.dropAll).contents(of: "f") == [])
            try file.write([2], at: 1)
            try file.sync()
            #expect(disk.crash(.dropAll).contents(of: "f") == [0, 2])
        }
    }

    @Test func `a name that a failed sync has lost no later sync brings back`() throws {
        let disk = SimulatedDisk()
        try disk.open("f", .create).sync()
        disk.fail(.syncDirectory, at: 1)
        #expect(diskCode { () throws(DiskError) in try disk.syncDirectory("") } == .io)
        try disk.syncDirectory("")
        #expect(disk.crash(.dropAll).contents(of: "f") == nil)
    }

    @Test func `calls are counted and fail by number, for as long as planned`() throws {
        try withFile { disk, file in
            disk.fail(.write, at: 2, count: 2, .error(.outOfSpace))
            let codes = (0..<4).map { index in
                diskCode { () throws(DiskError) in try file.write([1], at: UInt64(index)) }
            }
            #expect(codes == [nil, .outOfSpace, .outOfSpace, nil])
            #expect(disk.count(of: .write) == 4)
            #expect(disk.changeCount == 6, "one creation, one sync of a directory, four writes")
            disk.fail(.write, at: 5, .shortWrite(byteCount: 2, .io))
            #expect(
                diskCode { () throws(DiskError) in try file.write([7, 8, 9], at: 10) } == .io)
            let found = try file.read(9, at: 10)
            #expect(found == [7, 8])
        }
    }

    @Test func `without power nothing works until it is back`() throws {
        try withFile { disk, file in
            disk.cutPower(afterChanges: 3)
            try file.write([1], at: 0)
            #expect(diskCode { () throws(DiskError) in try file.write([2], at: 0) } == .io)
            #expect(diskCode { () throws(DiskError) in _ = try file.read(1, at: 0) } == .io)
            disk.heal()
            #expect(try file.read(1, at: 0) == [1])
        }
    }

    @Test func `a disk that is full refuses to grow and gives room back`() throws {
        let disk = SimulatedDisk(capacity: 8192)
        let file = try disk.open("f", .create)
        try file.write([UInt8](repeating: 1, count: 5000), at: 0)
        #expect(try disk.freeByteCount() == 0)
        #expect(
            diskCode { () throws(DiskError) in try file.write([1], at: 8192) } == .outOfSpace)
        #expect(
            diskCode { () throws(DiskError) in try file.allocate(byteCount: 9000) } == .outOfSpace)
        try file.write([1], at: 8191)
        try disk.remove("f")
        #expect(try disk.freeByteCount() == 0, "the file is still open")
        #expect(
            diskCode { () throws(DiskError) in
                try disk.open("g", .create).write([1], at: 0)
            } == .outOfSpace)
        disk.setCapacity(nil)
        try disk.open("g", .readWrite).write([1], at: 0)
    }
}
