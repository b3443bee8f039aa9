// Part of Cairn, a content-addressed blob store.
internal import Glibc

extension Descriptor {
    /// Reads up to the first line end, which is not part of the answer.
    ///
    /// On a terminal the prompt is shown and what is typed is not.
    ///
    /// - Returns: the line; empty also when it is longer than `limit` bytes.
    func readLine(limit: Int, prompt: String?) throws(FileFailure) -> [UInt8] {
        var shown = termios()
        let hides = unsafe prompt != nil && isTerminal && tcgetattr(number, &shown) == 0
        if hides, let prompt {
            try Descriptor.standardError.write(Array(prompt.utf8))
            var hidden = shown
            hidden.c_lflag &= ~tcflag_t(ECHO)
            _ = unsafe tcsetattr(number, TCSAFLUSH, &hidden)
        }
        defer {
            if hides {
                _ = unsafe tcsetattr(number, TCSAFLUSH, &shown)
                try? Descriptor.standardError.write([UInt8(ascii: "\n")])
            }
        }
        var line: [UInt8] = []
        // Byte by byte: what follows the line may belong to another reader.
        while let byte = try read(byteCount: 1).first, byte != UInt8(ascii: "\n") {
            guard line.count < limit else { return [] }
            line.append(byte)
        }
        return line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }
}
