// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// What a keyring holds, and every way to change it; pure, without keys of its own or I/O.
struct KeyringContents: Sendable {
    /// The most customer keys: the whole file is written at each change.
    static let keyCountMax = 10_000
    /// The most aliases: with the keys they fill one directory record of at most 4 MiB.
    static let aliasCountMax = 10_000

    let id: Octets16
    let createdAt: Timestamp
    /// Grows by one with every change.
    private(set) var revision: UInt64
    /// In the order of their creation.
    private(set) var keys: [CustomerKey]
    /// The full alias and the key that it leads to.
    private(set) var aliases: [String: Octets16]
    private var positions: [Octets16: Int]

    /// An empty keyring before its first change.
    init(id: Octets16, createdAt: Timestamp) {
        self.id = id
        self.createdAt = createdAt
        revision = 0
        keys = []
        aliases = [:]
        positions = [:]
    }

    /// Puts together what was read from a file.
    ///
    /// - Throws: ``CoreError`` with code `corrupted` when two keys share an id or an alias leads
    ///   nowhere.
    init(
        id: Octets16, createdAt: Timestamp, revision: UInt64, keys: [CustomerKey],
        aliases: [String: Octets16]
    ) throws(CoreError) {
        self.init(id: id, createdAt: createdAt)
        self.revision = revision
        for key in keys {
            append(key)
        }
        guard positions.count == keys.count else {
            throw CoreError(.corrupted, "two keys share an id")
        }
        guard aliases.values.allSatisfy({ positions[$0] != nil }) else {
            throw CoreError(.corrupted, "an alias leads to no key")
        }
        self.aliases = aliases
    }

    // MARK: Look-up

    /// The key of that id.
    func key(_ id: Octets16) -> CustomerKey? {
        positions[id].map { keys[$0] }
    }

    /// The key that a caller means.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    func key(_ reference: KeyReference) throws(KeyError) -> CustomerKey {
        keys[try position(reference)]
    }

    /// As ``key(_:)``, and the key may be used now.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `keyDisabled`.
    func usableKey(_ reference: KeyReference) throws(KeyError) -> CustomerKey {
        let key = try key(reference)
        try checkUsable(key)
        return key
    }

    /// - Throws: ``KeyError`` with code `keyDisabled`.
    func checkUsable(_ key: CustomerKey) throws(KeyError) {
        guard key.isEnabled else {
            throw KeyError(.keyDisabled, "key \(key.keyID) is disabled; enable it to use it")
        }
    }

    /// The aliases of a key, ascending.
    func aliases(of id: Octets16) -> [String] {
        aliases.filter { $0.value == id }.keys.sorted()
    }

    // MARK: Changes

    /// Adds a key with its first material, and an alias for it.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed or taken alias) or
    ///   `limitExceeded`.
    mutating func addKey(_ key: CustomerKey, alias: String) throws(KeyError) {
        try KeyReference.checkAlias(alias)
        guard aliases[alias] == nil else {
            throw KeyError(.invalidArgument, "\(alias) already leads to a key")
        }
        guard keys.count < Self.keyCountMax, aliases.count < Self.aliasCountMax else {
            throw KeyError(
                .limitExceeded,
                "a keyring holds at most \(Self.keyCountMax) keys and \(Self.aliasCountMax) aliases"
            )
        }
        append(key)
        aliases[alias] = key.id
        revision += 1
    }

    /// Adds material that wraps from now on; the older material goes on unwrapping.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `limitExceeded`.
    mutating func rotate(
        _ reference: KeyReference, at now: Timestamp, adding material: SecretBytes
    ) throws(KeyError) {
        let key = try usableKey(reference)
        guard key.materialDates.count < CustomerKey.materialCountMax else {
            throw KeyError(
                .limitExceeded,
                "key \(key.keyID) has the \(CustomerKey.materialCountMax) versions it may have")
        }
        keys[try position(reference)] = key.adding(material, at: now)
        revision += 1
    }

    /// Allows or forbids the use of a key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    mutating func setEnabled(_ isEnabled: Bool, _ reference: KeyReference) throws(KeyError) {
        keys[try position(reference)].isEnabled = isEnabled
        revision += 1
    }

    /// Counts a change that concerns the file alone: another passphrase.
    mutating func advanceRevision() {
        revision += 1
    }

    // MARK: -

    private mutating func append(_ key: CustomerKey) {
        positions[key.id] = keys.count
        keys.append(key)
    }

    private func position(_ reference: KeyReference) throws(KeyError) -> Int {
        let id = reference.isAlias ? aliases[reference.text] : Octets16(uuid: reference.text)
        guard let id, let position = positions[id] else {
            throw KeyError(.keyNotFound, "the keyring holds no key \(reference)")
        }
        return position
    }
}
