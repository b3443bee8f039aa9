// Part of Cairn, a content-addressed blob store.

/// A file that is being written and has no name yet, or a hidden one.
struct TemporaryFile: Sendable {
    /// Where to write.
    let descriptor: Descriptor

    /// The hidden name; used only for a moment by a nameless file.
    private let hiddenPath: String
    private let isNameless: Bool

    /// Makes an empty file on the file system of `path`.
    ///
    /// Its permissions are what the user's mask leaves of 0666.
    init(beside path: String) throws(FileFailure) {
        // 64 random bits: two commands writing the same file do not meet.
        let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
        let directory = Path.directory(of: path)
        // Not the file's own name and more: that may be too long.
        hiddenPath = "\(directory)/.cairn.\(suffix)"
        if let nameless = Descriptor.nameless(in: directory) {
            descriptor = nameless
            isNameless = true
        } else {
            descriptor = try Descriptor.creating(hiddenPath, mode: 0o666)
            isNameless = false
        }
    }

    /// Makes the bytes durable and gives the file its name, in place of any other.
    func publish(as path: String) throws(FileFailure) {
        try descriptor.sync()
        // A link cannot replace a file, a rename can: hence the hidden name in between.
        if isNameless { try descriptor.link(as: hiddenPath) }
        try Path.rename(hiddenPath, to: path)
    }

    /// Removes the hidden name, if there is one.
    func discard() {
        Path.remove(hiddenPath)
    }
}
