// Part of Cairn, a content-addressed blob store.
internal import CairnServer

/// A file that appears under its name only when it is whole and durable.
///
/// The bytes go to a nameless file on the same file system, so that not even a kill leaves a
/// part behind; where the system has none, to a hidden file beside, removed on failure.
enum OutputFile {
    /// The name that stands for standard output.
    static let standardOutputName = "-"

    /// Writes what `body` sends to the sink into the file at `path`, which it replaces.
    ///
    /// Durable on return; after an error, whatever was at `path` is as before. Standard output, a
    /// pipe or a device cannot be replaced: it takes the bytes as they come.
    static func writing<Result>(
        _ path: String, progress: @escaping @Sendable (Int) -> Void,
        _ body: (@escaping AdminByteSink) async throws -> Result
    ) async throws -> Result {
        let thread = FileThread()
        guard path != standardOutputName else {
            return try await body(sink(.standardOutput, thread, progress))
        }
        let target = try await thread.run { () throws(FileFailure) in try Path.target(of: path) }
        guard case .file(let path) = target else {
            let stream = try await thread.run { () throws(FileFailure) in
                try Descriptor.writing(path)
            }
            return try await body(sink(stream, thread, progress))
        }
        return try await replacing(path, thread, progress: progress, body)
    }

    /// The same for a name that is no pipe and no device; a symbolic link is replaced, not
    /// followed.
    static func replacing<Result>(
        _ path: String, _ thread: FileThread = FileThread(),
        progress: @escaping @Sendable (Int) -> Void,
        _ body: (@escaping AdminByteSink) async throws -> Result
    ) async throws -> Result {
        let temporary = try await thread.run { () throws(FileFailure) in
            try TemporaryFile(beside: path)
        }
        do {
            let result = try await body(sink(temporary.descriptor, thread, progress))
            try await thread.run { () throws(FileFailure) in try temporary.publish(as: path) }
            return result
        } catch {
            temporary.discard()
            throw error
        }
    }

    // Writes each buffer before it takes the next.
    private static func sink(
        _ descriptor: Descriptor, _ thread: FileThread,
        _ progress: @escaping @Sendable (Int) -> Void
    ) -> AdminByteSink {
        { bytes in
            try await thread.run { () throws(FileFailure) in try descriptor.write(bytes) }
            progress(bytes.count)
        }
    }
}
