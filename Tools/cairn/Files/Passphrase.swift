// Part of Cairn, a content-addressed blob store.

/// Passphrases, which never travel on a command line, where other users could read them.
enum Passphrase {
    /// The longest passphrase, in bytes, as for the keyring.
    static let byteCountMax = 1024

    /// The first line of the file, or of standard input for `-`.
    ///
    /// A terminal is asked, and does not show what is typed.
    ///
    /// - Parameter isNew: whether a terminal is asked twice.
    /// - Throws: ``FileFailure``; ``PassphraseFailure`` when there is no passphrase in the file;
    ///   ``CommandFailure`` when two answers differ.
    static func read(from file: String, isNew: Bool = false) throws -> String {
        let passphrase = try read(from: file, prompt: "Passphrase: ")
        if isNew, file == "-", Descriptor.standardInput.isTerminal,
            try read(from: file, prompt: "The same again: ") != passphrase
        {
            throw CommandFailure(code: "passphraseMissing", message: "the two passphrases differ")
        }
        return passphrase
    }

    private static func read(from file: String, prompt: String) throws -> String {
        let line: [UInt8]
        if file == "-" {
            line = try Descriptor.standardInput.readLine(
                limit: byteCountMax, prompt: prompt)
        } else {
            line = try Descriptor.reading(file).readLine(limit: byteCountMax, prompt: nil)
        }
        guard !line.isEmpty, let passphrase = String(validating: line, as: UTF8.self) else {
            throw PassphraseFailure(file: file)
        }
        return passphrase
    }
}

/// A file that holds no passphrase on its first line.
struct PassphraseFailure: Error, CustomStringConvertible {
    /// The file's path, or `-`.
    let file: String

    var description: String {
        "\(file == "-" ? "standard input" : file) holds no passphrase: "
            + "the first line must be text of 1 to \(Passphrase.byteCountMax) bytes"
    }
}
