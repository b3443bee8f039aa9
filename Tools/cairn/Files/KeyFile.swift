// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// Key files that are kept outside the store's directory.
enum KeyFile {
    /// The size of a key file: one key of 256 bits.
    static let byteCount = 32

    /// Makes a key file for its owner alone, durable on return; one that is there stays.
    static func makeIfMissing(_ path: String) throws(FileFailure) {
        let file: Descriptor
        do throws(FileFailure) {
            file = try Descriptor.creating(path, mode: 0o600)
        } catch {
            guard error.isExisting else { throw error }
            return
        }
        var key = [UInt8](repeating: 0, count: byteCount)
        var bytes = key.mutableSpan
        SystemRandom().fill(&bytes)
        do throws(FileFailure) {
            try file.write(key)
            try file.sync()
            try Path.syncDirectory(of: path)
        } catch {
            // Half a key would pass for one that is there already.
            Path.remove(path)
            throw error
        }
    }
}
