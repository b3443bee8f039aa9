// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys
internal import CairnSegments

/// Where the customer keys of a store are.
enum CustomerKeySource: Sendable {
    /// In the keyring in the store's directory.
    case keyring(KeyringUnlock)
    case provider(any KeyProvider)
}

extension StoreOpening {
    /// Where data keys are wrapped; a new keyring for a new store.
    func openProvider(
        isNew: Bool, _ pool: WorkerPool
    ) async throws(StoreError) -> any KeyProvider {
        switch customerKeys {
        case .provider(let provider): return provider
        case .keyring(let unlock):
            // A passphrase is stretched, for a third of a second.
            return try await pool.run { (_) throws(StoreError) -> KeyringHolder in
                let keyring = try isNew ? makeKeyring(unlock) : openKeyring(unlock)
                return KeyringHolder(keyring, seams.disk)
            }
        }
    }

    private func makeKeyring(_ unlock: KeyringUnlock) throws(StoreError) -> Keyring {
        let protection = try protection(unlock, makingKeyFile: true)
        let (keyring, bytes) = try lower(
            "creating the keyring",
            keys: { () throws(KeyError) in
                let keyring = try Keyring.create(
                    protection: protection, random: seams.random, clock: seams.clock)
                return (keyring, try keyring.encoded())
            })
        // Durable before anything is wrapped with it.
        try replace(StoreFormat.keyring, bytes)
        return keyring
    }

    private func openKeyring(_ unlock: KeyringUnlock) throws(StoreError) -> Keyring {
        let bytes = try lower(
            "reading the keyring",
            disk: { () throws(DiskError) in
                try seams.disk.readAll(StoreFormat.keyring, upTo: Keyring.encodedByteCountMax)
            })
        let protection = try protection(unlock, makingKeyFile: false)
        return try lower(
            "opening the keyring",
            keys: { () throws(KeyError) in
                try Keyring(
                    decoding: bytes, protection: protection, random: seams.random,
                    clock: seams.clock)
            })
    }

    private func protection(
        _ unlock: KeyringUnlock, makingKeyFile: Bool
    ) throws(StoreError) -> KeyringProtection {
        switch unlock {
        case .passphrase(let passphrase):
            return .passphrase(SecretBytes(copying: Array(passphrase.utf8).span))
        case .keyFile(let path):
            if let path { return .keyFile(try externalKeyFile(path)) }
            if makingKeyFile { try makeKeyFile() }
            return .keyFile(try keyFile(StoreFormat.keyFile, on: seams.disk))
        }
    }

    private func makeKeyFile() throws(StoreError) {
        var key = seams.random.octets32()
        defer {
            var span = key.mutableSpan
            wipe(&span)
        }
        try lower(
            "writing \(StoreFormat.keyFile)",
            disk: { () throws(DiskError) in
                try seams.disk.replace(StoreFormat.keyFile, with: key.span)
            })
    }

    private func externalKeyFile(_ path: String) throws(StoreError) -> SecretBytes {
        var directory = DiskPath.parent(of: path)
        if directory.isEmpty { directory = path.hasPrefix("/") ? "/" : "." }
        let name = String(path.split(separator: "/").last ?? "")
        let root = directory
        let disk = try lower(
            "reading the key file",
            disk: { () throws(DiskError) -> LocalDisk in
                try LocalDisk(root: root)
            })
        return try keyFile(name, on: disk)
    }

    private func keyFile(_ name: String, on disk: any Disk) throws(StoreError) -> SecretBytes {
        do throws(DiskError) {
            return try Self.readKeyFile(name, on: disk)
        } catch {
            switch error.code {
            case .notFound:
                throw StoreError(
                    .keyUnavailable, "the key file is not there; a passphrase may open the store",
                    cause: error)
            case .permission: throw StoreError(.keyUnavailable, error.message, cause: error)
            default: throw StoreError(error, while: "reading the key file")
            }
        }
    }

    private static func readKeyFile(
        _ name: String, on disk: any Disk
    ) throws(DiskError) -> SecretBytes {
        let file = try disk.open(name, .read)
        let permissions = try file.permissions()
        file.close()
        guard permissions & 0o077 == 0 else {
            throw DiskError(.permission, "others can read the key file; set its mode to 0600")
        }
        var bytes = try disk.readAll(name, upTo: KeyringProtection.keyFileByteCount)
        defer {
            var span = bytes.mutableSpan
            wipe(&span)
        }
        return SecretBytes(copying: bytes.span)
    }
}
