// Part of Cairn, a content-addressed blob store.
internal import CairnServer

/// A file, or standard input, that becomes a blob.
///
/// Holds no bytes of its own: memory stays at one buffer whatever the size of the input.
struct InputFile: Sendable {
    /// The name that stands for standard input.
    static let standardInputName = "-"

    /// The name as the user gave it.
    let name: String

    /// The size in bytes, `nil` for a pipe.
    let byteCount: UInt64?

    private let descriptor: Descriptor
    private let thread = FileThread()

    /// Opens the file of that name.
    init(_ name: String) async throws(FileFailure) {
        (descriptor, byteCount) = try await thread.run {
            () throws(FileFailure) -> (Descriptor, UInt64?) in
            let isStandardInput = name == Self.standardInputName
            let descriptor =
                isStandardInput ? Descriptor.standardInput : try Descriptor.reading(name)
            // Part of a redirected standard input may have been read by someone else.
            return (descriptor, isStandardInput ? nil : try descriptor.byteCount())
        }
        self.name = name
    }

    /// Opens a regular file below a directory, on the way to which there is no symbolic link.
    init(_ name: FileName, below root: String) async throws(FileFailure) {
        (descriptor, byteCount) = try await thread.run {
            () throws(FileFailure) -> (Descriptor, UInt64?) in
            let descriptor = try FileTree.open(name, below: root)
            return (descriptor, try descriptor.byteCount())
        }
        self.name = descriptor.name
    }

    /// The bytes of the file for a store; tells `progress` how many went by.
    func source(_ progress: @escaping @Sendable (Int) -> Void) -> AdminByteSource {
        { buffer in
            let byteCount = buffer.count
            let bytes = try await thread.run { () throws(FileFailure) in
                try descriptor.read(byteCount: byteCount)
            }
            if bytes.count == byteCount {
                // The same count: hand the whole buffer over instead of copying it.
                buffer = bytes
            } else {
                buffer.replaceSubrange(0..<bytes.count, with: bytes)
            }
            progress(bytes.count)
            return bytes.count
        }
    }
}
