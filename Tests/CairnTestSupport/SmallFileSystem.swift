// Part of Cairn, a content-addressed blob store.

internal import Foundation

/// A file system of its own, small enough to be filled.
///
/// Only root can mount one.
public struct SmallFileSystem: Sendable {
    /// What it is made of.
    public enum Kind: String, CaseIterable, Sendable {
        case tmpfs, ext4
    }

    /// A command that makes, mounts or unmounts failed.
    public struct Failure: Error {
        let command: [String]
    }

    /// Whether this process may mount.
    public static let isAvailable = geteuid() == 0

    /// Where it is mounted.
    public let path: String
    private var filler: String { path + "/filler" }

    /// Calls `body` with a new file system of so many MiB, which is gone afterwards.
    public static func with(
        _ kind: Kind, mebibytes: Int, _ body: (SmallFileSystem) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let (mount, image) = (directory.path("mount"), directory.path("image"))
        try FileManager.default.createDirectory(
            atPath: mount, withIntermediateDirectories: false)
        switch kind {
        case .tmpfs:
            try await run("/bin/mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "cairn", mount)
        case .ext4:
            try await run("/usr/bin/truncate", "-s", "\(mebibytes)M", image)
            try await run("/usr/sbin/mkfs.ext4", "-q", image)
            try await run("/bin/mount", "-o", "loop", image, mount)
        }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(SmallFileSystem(path: mount)))
        } catch {
            result = .failure(error)
        }
        try await run("/bin/umount", mount)
        try result.get()
    }

    /// Takes every byte that is left.
    public func fill() async throws {
        // Ends with "no space left", which is what it is for.
        try await ChildProcess(["/bin/dd", "if=/dev/zero", "of=\(filler)", "bs=64k"]).end()
    }

    /// Lets it take no more writes; nobody may have a file open for writing.
    public func makeReadOnly() async throws {
        try await Self.run("/bin/mount", "-o", "remount,ro", path)
    }

    /// Gives back what ``fill()`` has taken.
    public func free() throws { try FileManager.default.removeItem(atPath: filler) }

    /// Tries again until something is no longer refused for want of room, for half a minute.
    public static func retry(_ isDone: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<60 {
            try await Task.sleep(for: .milliseconds(500))
            if try await isDone() { return true }
        }
        return false
    }

    private static func run(_ command: String...) async throws {
        let code = try await ChildProcess(command, error: .inherited).end()
        guard code == 0 else { throw Failure(command: command) }
    }
}
