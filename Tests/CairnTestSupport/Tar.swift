// Part of Cairn, a content-addressed blob store.

/// Builds archives in the ustar format (POSIX.1-1988), as far as tests need it.
public enum Tar {
    /// An archive of regular files with fixed owners and times, and its two closing blocks.
    ///
    /// - Parameter files: Paths of at most 100 bytes with what the files hold.
    public static func archive(_ files: [(path: String, bytes: [UInt8])]) -> [UInt8] {
        var archive: [UInt8] = []
        for file in files {
            archive += header(path: file.path, byteCount: file.bytes.count)
            archive += file.bytes
            archive += zeros((512 - file.bytes.count % 512) % 512)
        }
        return archive + zeros(1024)
    }

    /// The header block of a regular file.
    public static func header(path: String, byteCount: Int) -> [UInt8] {
        precondition(path.utf8.count <= 100)
        var block = zeros(512)
        func put(_ text: String, at offset: Int) {
            block.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        put(path, at: 0)
        put("0000644\0", at: 100)
        put("0000000\0", at: 108)
        put("0000000\0", at: 116)
        put(octal(byteCount, digits: 11) + "\0", at: 124)
        put("15044400000\0", at: 136)
        put("        ", at: 148)  // The checksum counts as spaces in itself.
        put("0", at: 156)
        put("ustar\u{0}00", at: 257)
        let sum = block.reduce(0) { $0 + Int($1) }
        put(octal(sum, digits: 6) + "\0 ", at: 148)
        return block
    }

    private static func octal(_ value: Int, digits: Int) -> String {
        let text = String(value, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}
