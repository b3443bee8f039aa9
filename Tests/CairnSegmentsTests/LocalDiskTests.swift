// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Testing

@testable import CairnSegments

/// What only a real file system can show.
@Suite struct LocalDiskTests {
    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? NSNumber).intValue
    }

    @Test func `a planted link is not followed, whatever the call`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            try withTemporaryDirectory { outside in
                let secret = outside + "/secret"
                _ = FileManager.default.createFile(atPath: secret, contents: Data([1]))
                try FileManager.default.createSymbolicLink(
                    atPath: root + "/link", withDestinationPath: secret)
                try FileManager.default.createSymbolicLink(
                    atPath: root + "/directory", withDestinationPath: outside)
                for mode in [.read, .readWrite, .read.bypassingCache] as [DiskOpenMode] {
                    #expect(
                        diskCode { () throws(DiskError) in _ = try disk.open("link", mode) }
                            == .notRegularFile)
                    #expect(
                        diskCode { () throws(DiskError) in
                            _ = try disk.open("directory/secret", mode)
                        } == .notRegularFile)
                }
                #expect(
                    diskCode { () throws(DiskError) in _ = try disk.open("link", .create) }
                        == .exists)
                #expect(
                    diskCode { () throws(DiskError) in _ = try disk.lock("link") }
                        == .notRegularFile)
                #expect(
                    diskCode { () throws(DiskError) in _ = try disk.list("directory") }
                        == .notRegularFile)
                #expect(
                    diskCode { () throws(DiskError) in try disk.remove("directory/secret") }
                        == .notRegularFile)
                #expect(try disk.exists("link"))
                // Removing takes the link, not what it leads to.
                try disk.remove("link")
                #expect(FileManager.default.fileExists(atPath: secret))
            }
        }
    }

    @Test(.timeLimit(.minutes(15)))
    func `a planted pipe is refused and nobody waits for its other end`() throws {
        try withTemporaryDirectory { root in
            #expect(mkfifo(root + "/pipe", 0o600) == 0)
            let disk = try LocalDisk(root: root)
            for mode in [.read, .readWrite] as [DiskOpenMode] {
                #expect(
                    diskCode { () throws(DiskError) in _ = try disk.open("pipe", mode) }
                        == .notRegularFile)
            }
            #expect(
                diskCode { () throws(DiskError) in _ = try disk.lock("pipe") } == .notRegularFile)
        }
    }

    @Test func `a segment that is a link, a pipe or a directory is reported as damage`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            try LocalSegmentStore.openTiny(disk).close()
            let segment = root + "/segments/00000001.segment"
            let plants: [() throws -> Void] = [
                {
                    try FileManager.default.createSymbolicLink(
                        atPath: segment, withDestinationPath: "/etc/passwd")
                },
                { #expect(mkfifo(segment, 0o600) == 0) },
                {
                    try FileManager.default.createDirectory(
                        atPath: segment, withIntermediateDirectories: false)
                },
            ]
            for plant in plants {
                try plant()
                #expect(
                    code { () throws(SegmentError) in _ = try LocalSegmentStore.openTiny(disk) }
                        == .corrupted)
                try FileManager.default.removeItem(atPath: segment)
            }
        }
    }

    @Test func `what is created is for its owner alone unless said otherwise`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root + "/store", createIfMissing: true)
            #expect(try mode(root + "/store") == 0o700)
            _ = try disk.open("file", .create)
            #expect(try mode(root + "/store/file") == 0o600)
            _ = try disk.open("public", .create(permissions: 0o644))
            try disk.replace("other", with: ([1] as [UInt8]).span, permissions: 0o640)
            #expect(try mode(root + "/store/other") == 0o640)
            try disk.createDirectory("directory")
            #expect(try mode(root + "/store/directory") == 0o700)
            _ = try LocalDisk(root: root + "/store", createIfMissing: true)
        }
    }

    @Test func `a root that is missing or no directory is refused`() throws {
        try withTemporaryDirectory { root in
            #expect(
                diskCode { () throws(DiskError) in _ = try LocalDisk(root: root + "/missing") }
                    == .notFound)
            _ = FileManager.default.createFile(atPath: root + "/file", contents: nil)
            #expect(
                diskCode { () throws(DiskError) in _ = try LocalDisk(root: root + "/file") }
                    == .notRegularFile)
            #expect(
                diskCode { () throws(DiskError) in _ = try LocalDisk(root: "") }
                    == .invalidArgument)
        }
    }

    @Test func `a lock that another process holds names that process`() async throws {
        try await withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            let input = Pipe()
            let output = Pipe()
            // Locks, writes its number, says so, and ends when its input does.
            let process = try ChildProcess(
                [
                    "/bin/sh", "-c", "exec 9>\"$0\"; flock 9; echo $$ >&9; echo; read x",
                    root + "/lock",
                ], input: .descriptor(input.fileHandleForReading.fileDescriptor),
                output: .descriptor(output.fileHandleForWriting.fileDescriptor))
            _ = output.fileHandleForReading.readData(ofLength: 1)
            do throws(DiskError) {
                _ = try disk.lock("lock")
                Issue.record("the lock was taken twice")
            } catch {
                #expect(error.code == .locked)
                #expect(error.message.contains("process \(process.number)"))
            }
            try input.fileHandleForWriting.close()
            await process.end()
            try disk.lock("lock").release()
        }
    }

    @Test func `a lock file that holds no number still locks`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            let lock = try disk.lock("lock")
            let holder = try disk.readAll("lock", upTo: 32)
            #expect(String(decoding: holder, as: UTF8.self) == "\(getpid())\n")
            try disk.open("lock", .readWrite).truncate(to: 0)
            do throws(DiskError) {
                _ = try disk.lock("lock")
                Issue.record("the lock was taken twice")
            } catch {
                #expect(error.code == .locked)
                #expect(error.message.contains("unknown process"))
            }
            lock.release()
        }
    }

    @Test func `records survive on a real file system, past the cache and through it`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            let store = try LocalSegmentStore.openTiny(disk)
            let appended = Shared<[RecordLocation: [UInt8]]>([:])
            onThreads(4) { thread in
                var numbers = SeededNumbers(seed: UInt64(thread) + 100)
                for step in 0..<60 {
                    let payload = numbers.bytes(Int.random(in: 0..<7000, using: &numbers))
                    let record = makeRecord(payload)
                    guard let location = try? store.append(record) else { continue }
                    appended.update { $0[location] = record }
                    if step % 9 == 0 { try? store.sync() }
                }
            }
            try store.sync()
            #expect(appended.current.count == 240)
            for (location, record) in appended.current {
                #expect(try store.read(location) == record)
            }
            try store.close()
            let again = try LocalSegmentStore.openTiny(disk)
            var found: [RecordLocation: [UInt8]] = [:]
            for summary in try again.segments() {
                let (records, report) = try again.records(summary.number)
                #expect(report.damage == [])
                found.merge(records) { first, _ in first }
                let size = try disk.open(path(summary.number), .read).byteCount()
                #expect(size == summary.byteCount, "room that was only reserved is given back")
            }
            #expect(found == appended.current)
        }
    }

    @Test func `a real file that was not sealed is recovered`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            let record = makeRecord([1, 2, 3])
            let location: RecordLocation
            do {
                // Dropped without closing, as by a process that dies.
                let store = try LocalSegmentStore.openTiny(disk)
                location = try store.append(record)
                try store.sync()
                _ = try store.append(record)
            }
            let store = try LocalSegmentStore.openTiny(disk)
            #expect(try store.read(location) == record)
            #expect(try store.segments().map(\.isSealed) == [true])
            let (_, report) = try store.records(location.segment)
            #expect(report.isRecovered)
            #expect(report.damage == [])
        }
    }

    @Test(.enabled(if: getuid() != 0, "the superuser may write everywhere"))
    func `a directory without permission is a named error`() throws {
        try withTemporaryDirectory { root in
            let disk = try LocalDisk(root: root)
            #expect(chmod(root, 0o500) == 0)
            defer { chmod(root, 0o700) }
            #expect(
                diskCode { () throws(DiskError) in _ = try disk.open("f", .create) }
                    == .permission)
        }
    }

    @Test(.enabled(if: SmallFileSystem.isAvailable, "only root can mount file systems"))
    func `a file system that admits no writes is told without one`() async throws {
        try await SmallFileSystem.with(.tmpfs, mebibytes: 4) { fileSystem in
            #expect(try !LocalDisk(root: fileSystem.path).isReadOnly())
            try await fileSystem.makeReadOnly()
            #expect(try LocalDisk(root: fileSystem.path).isReadOnly())
        }
    }

    @Test func `each error number has the code that a caller acts upon`() {
        let expected: [(CInt, DiskError.Code)] = [
            (ENOSPC, .outOfSpace), (EDQUOT, .outOfSpace), (EIO, .io), (ENOENT, .notFound),
            (EEXIST, .exists), (EMFILE, .tooManyFiles), (ENFILE, .tooManyFiles),
            (EROFS, .readOnly), (EACCES, .permission), (EPERM, .permission),
            (EWOULDBLOCK, .locked), (ELOOP, .notRegularFile), (EISDIR, .notRegularFile),
            (ENOTDIR, .notRegularFile), (ENXIO, .notRegularFile), (EFBIG, .limitExceeded),
            (ENAMETOOLONG, .invalidArgument), (EINVAL, .invalidArgument), (ENOMEM, .io),
        ]
        for (number, code) in expected {
            let error = DiskError(errno: number, "testing")
            #expect(error.code == code)
            #expect(error.message.hasPrefix("testing failed: "))
        }
    }
}
