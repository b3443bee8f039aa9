// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys

/// A key as its records on the token describe it.
struct TokenKey {
    let id: Octets16
    let createdAt: Timestamp
    let isEnabled: Bool

    var keyID: KeyID { KeyID(uuid: id) }

    /// What a caller is told.
    func description(_ aliases: [String: Octets16]) -> KeyDescription {
        KeyDescription(
            id: keyID, aliases: aliases.filter { $0.value == id }.keys.sorted(),
            state: isEnabled ? .enabled : .disabled, createdAt: createdAt)
    }
}

/// One version of a key's material.
struct TokenMaterial {
    let version: UInt32
    let object: CK_OBJECT_HANDLE
}

/// The keys of the token, as seen through one session at this moment.
struct TokenKeys {
    /// The most versions of a key's material, as in a keyring.
    static let materialCountMax = 1000
    /// The most keys and the most aliases: each description of a key reads all aliases.
    static let keyCountMax = 10_000

    let session: TokenSession

    // MARK: Look-up

    /// All keys in the order of their creation.
    func all() throws(KeyError) -> [TokenKey] {
        let records = try records(TokenObjects.keyRecords())
        return Dictionary(grouping: records, by: \.keyID).values.compactMap(Self.key)
            .sorted { ($0.createdAt, $0.keyID.text) < ($1.createdAt, $1.keyID.text) }
    }

    /// All aliases and where they lead.
    func aliases() throws(KeyError) -> [String: Octets16] {
        let records = try records(TokenObjects.aliasRecords())
        return Dictionary(grouping: records, by: \.text).compactMapValues {
            Self.newest($0)?.keyID
        }
    }

    /// The key that a caller means.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    func key(_ reference: KeyReference) throws(KeyError) -> TokenKey {
        let id =
            reference.isAlias
            ? try newestRecord(ofAlias: reference.text)?.keyID : Octets16(uuid: reference.text)
        guard let id else {
            throw KeyError(.keyNotFound, "the token holds no key \(reference)")
        }
        return try key(id)
    }

    /// The key of that id.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    func key(_ id: Octets16) throws(KeyError) -> TokenKey {
        let records = try records(TokenObjects.keyRecords(of: id)).filter { $0.keyID == id }
        guard let key = Self.key(records) else {
            throw KeyError(.keyNotFound, "the token holds no key \(KeyID(uuid: id))")
        }
        return key
    }

    /// As ``key(_:)``, and the key may be used now.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `keyDisabled`.
    func usableKey(_ reference: KeyReference) throws(KeyError) -> TokenKey {
        let key = try key(reference)
        try checkUsable(key)
        return key
    }

    /// - Throws: ``KeyError`` with code `keyDisabled`.
    func checkUsable(_ key: TokenKey) throws(KeyError) {
        guard key.isEnabled else {
            throw KeyError(.keyDisabled, "key \(key.keyID) is disabled; enable it to use it")
        }
    }

    /// The newest version of a key's material.
    ///
    /// - Throws: ``KeyError`` with code `unavailable` when the token has none.
    func newestMaterial(of key: TokenKey) throws(KeyError) -> TokenMaterial {
        var newest: TokenMaterial?
        for object in try session.find(TokenObjects.materials(of: key.id)) {
            guard let id = try session.read(CKA_ID, of: object),
                let version = TokenObjects.version(id, of: key.id), version > 0
            else { continue }
            if version > newest?.version ?? 0 {
                newest = TokenMaterial(version: version, object: object)
            }
        }
        guard let newest else {
            throw KeyError(.unavailable, "the token holds no material of key \(key.keyID)")
        }
        return newest
    }

    /// The objects with a version of a key's material: several when two processes rotated the key
    /// at one moment. Then both have encrypted, perhaps, and both stay.
    func objects(of key: TokenKey, version: UInt32) throws(KeyError) -> [CK_OBJECT_HANDLE] {
        try session.find(TokenObjects.material(of: key.id, version: version))
    }

    // MARK: -

    private static func key(_ records: [TokenRecord]) -> TokenKey? {
        guard let creation = records.first(where: { $0.kind == .creation }) else { return nil }
        return TokenKey(
            id: creation.keyID,
            createdAt: Timestamp(nanosecondsSinceEpoch: creation.number),
            isEnabled: !records.contains { $0.kind == .disabling })
    }

    // The same one for every process: of equal numbers the smaller id.
    private static func newest(_ records: [TokenRecord]) -> TokenRecord? {
        records.max {
            ($0.number, $1.keyID.uuidText) < ($1.number, $0.keyID.uuidText)
        }
    }

    private func newestRecord(ofAlias alias: String) throws(KeyError) -> TokenRecord? {
        Self.newest(
            try records(TokenObjects.aliasRecords(of: alias)).filter { $0.text == alias })
    }

    private func records(_ template: Template) throws(KeyError) -> [TokenRecord] {
        var records: [TokenRecord] = []
        for object in try session.find(template) {
            guard let value = try session.read(CKA_VALUE, of: object) else { continue }
            records.append(try TokenRecord(decoding: value))
        }
        return records
    }
}

// MARK: - Changes

extension TokenKeys {
    /// Makes a key with its first material, and an alias for it if there is to be one.
    ///
    /// The creation record comes after the material: a key that exists can be used. A crash before
    /// it leaves an object behind that nothing refers to.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed alias), `aliasExists` or
    ///   `limitExceeded`.
    func createKey(alias: String?, at now: Timestamp) throws(KeyError) -> TokenKey {
        if let alias { try checkNewAlias(alias) }
        guard try all().count < Self.keyCountMax else {
            throw KeyError(
                .limitExceeded, "a token holds at most \(Self.keyCountMax) keys of Cairn")
        }
        let id = Octets16.randomUUID(from: SystemRandom())
        try session.generateKey(TokenObjects.newMaterial(of: id, version: 1))
        try store(TokenRecord(.creation, of: id, number: now.nanosecondsSinceEpoch))
        if let alias { try store(TokenRecord(.alias, of: id, number: 1, text: alias)) }
        return try key(id)
    }

    /// Adds material that encrypts from now on; the older material goes on decrypting.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `limitExceeded`.
    func rotate(_ reference: KeyReference) throws(KeyError) {
        let key = try usableKey(reference)
        let version = try newestMaterial(of: key).version
        guard version < Self.materialCountMax else {
            throw KeyError(
                .limitExceeded,
                "key \(key.keyID) has the \(Self.materialCountMax) versions it may have")
        }
        try session.generateKey(TokenObjects.newMaterial(of: key.id, version: version + 1))
    }

    /// Allows or forbids the use of a key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    func setEnabled(
        _ isEnabled: Bool, _ reference: KeyReference, at now: Timestamp
    ) throws(KeyError) {
        let key = try key(reference)
        guard key.isEnabled != isEnabled else { return }
        guard isEnabled else {
            return try store(
                TokenRecord(.disabling, of: key.id, number: now.nanosecondsSinceEpoch))
        }
        try destroy(TokenObjects.keyRecords(of: key.id)) { $0.kind == .disabling }
    }

    /// Lets a new alias lead to a key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (malformed or reserved), `aliasExists`,
    ///   `keyNotFound` or `limitExceeded`.
    func addAlias(_ alias: String, to reference: KeyReference) throws(KeyError) {
        try checkOwnAlias(alias)
        try checkNewAlias(alias)
        try store(TokenRecord(.alias, of: key(reference).id, number: 1, text: alias))
    }

    /// Lets an alias lead to another key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the alias or the key) or `invalidArgument`
    ///   (reserved).
    func moveAlias(_ alias: String, to reference: KeyReference) throws(KeyError) {
        try checkOwnAlias(alias)
        guard let old = try newestRecord(ofAlias: alias) else { throw unknown(alias) }
        let number = old.number + 1
        try store(TokenRecord(.alias, of: key(reference).id, number: number, text: alias))
        // After a crash before this the newer record counts all the same.
        try destroy(TokenObjects.aliasRecords(of: alias)) { $0.number < number }
    }

    /// Forgets an alias; the key stays.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `invalidArgument` (reserved).
    func removeAlias(_ alias: String) throws(KeyError) {
        try checkOwnAlias(alias)
        guard try newestRecord(ofAlias: alias) != nil else { throw unknown(alias) }
        try destroy(TokenObjects.aliasRecords(of: alias)) { _ in true }
    }

    // MARK: -

    private func unknown(_ alias: String) -> KeyError {
        KeyError(.keyNotFound, "the token holds no \(alias)")
    }

    private func checkOwnAlias(_ alias: String) throws(KeyError) {
        guard !alias.hasPrefix(KeyReference.reservedPrefix) else {
            throw KeyError(
                .invalidArgument, "aliases under \(KeyReference.reservedPrefix) are the store's")
        }
    }

    private func checkNewAlias(_ alias: String) throws(KeyError) {
        try KeyReference.checkAlias(alias)
        let aliases = try aliases()
        guard aliases[alias] == nil else {
            throw KeyError(.aliasExists, "\(alias) already leads to a key")
        }
        guard aliases.count < Self.keyCountMax else {
            throw KeyError(
                .limitExceeded, "a token holds at most \(Self.keyCountMax) aliases of Cairn")
        }
    }

    private func store(_ record: TokenRecord) throws(KeyError) {
        try session.create(TokenObjects.new(record))
    }

    private func destroy(
        _ template: Template, where isMeant: (TokenRecord) -> Bool
    ) throws(KeyError) {
        for object in try session.find(template) {
            guard let value = try session.read(CKA_VALUE, of: object) else { continue }
            if isMeant(try TokenRecord(decoding: value)) { try session.destroy(object) }
        }
    }
}
