// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// What a keyring holds, and every way to change it; pure, without keys of its own or I/O.
struct KeyringContents: Sendable {
    /// The most customer keys: the whole file is written at each change.
    static let keyCountMax = 10_000
    /// The most aliases: with the keys they fill one directory record of at most 4 MiB.
    static let aliasCountMax = 10_000

    /// As AWS KMS allows, `EnableKeyRotation`.
    static let rotationPeriodDays = 90...2560
    /// As AWS KMS allows, `ScheduleKeyDeletion`.
    static let deletionDays = 7...30

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
    /// - Throws: ``CoreError`` with code `corrupted` when two keys or two grants share an id, or an
    ///   alias leads nowhere.
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
        let grantIDs = keys.flatMap(\.grants).map(\.uuid)
        guard Set(grantIDs).count == grantIDs.count else {
            throw CoreError(.corrupted, "two grants share an id")
        }
        self.aliases = aliases
    }

    // MARK: Look-up

    /// The key of that id.
    func key(_ id: Octets16) -> CustomerKey? {
        positions[id].map { keys[$0] }
    }

    /// The key that a caller means, if there is one.
    func find(_ reference: KeyReference) -> CustomerKey? {
        let id = reference.isAlias ? aliases[reference.text] : Octets16(uuid: reference.text)
        return id.flatMap(key)
    }

    /// The key that a caller means.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    func key(_ reference: KeyReference) throws(KeyError) -> CustomerKey {
        guard let key = find(reference) else {
            throw KeyError(.keyNotFound, "the keyring holds no key \(reference)")
        }
        return key
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
        try checkStays(key)
        guard key.state == .enabled else {
            throw KeyError(.keyDisabled, "key \(key.keyID) is disabled; enable it to use it")
        }
    }

    /// - Throws: ``KeyError`` with code `keyDisabled` for a key that is to be destroyed.
    func checkStays(_ key: CustomerKey) throws(KeyError) {
        if let date = key.deletionDate {
            throw KeyError(
                .keyDisabled,
                "key \(key.keyID) is destroyed on \(date); cancel its deletion to use it")
        }
    }

    /// The aliases of a key, ascending.
    func aliases(of id: Octets16) -> [String] {
        aliases.filter { $0.value == id }.keys.sorted()
    }

    // MARK: Changes

    /// Changes a key and counts that as one change of the keyring; after an error nothing is
    /// changed.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, or as `body` does.
    mutating func change(
        _ reference: KeyReference, _ body: (inout CustomerKey) throws(KeyError) -> Void
    ) throws(KeyError) {
        var key = try key(reference)
        try body(&key)
        // The id stays the same, so the key is where it was.
        positions[key.id].map { keys[$0] = key }
        revision += 1
    }

    /// Adds a key with its first material, and an alias for it if there is to be one.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed alias), `aliasExists` or
    ///   `limitExceeded`.
    mutating func addKey(_ key: CustomerKey, alias: String?) throws(KeyError) {
        guard keys.count < Self.keyCountMax else {
            throw KeyError(.limitExceeded, "a keyring holds at most \(Self.keyCountMax) keys")
        }
        if let alias { try checkNewAlias(alias) }
        append(key)
        if let alias { aliases[alias] = key.id }
        revision += 1
    }

    /// Adds material that wraps from now on; the older material goes on unwrapping.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `limitExceeded`.
    mutating func rotate(
        _ reference: KeyReference, adding material: SecretBytes, _ version: KeyVersion
    ) throws(KeyError) {
        let key = try usableKey(reference)
        guard key.versions.count < CustomerKey.materialCountMax else {
            throw KeyError(
                .limitExceeded,
                "key \(key.keyID) has the \(CustomerKey.materialCountMax) versions it may have")
        }
        let onDemandCountMax = CustomerKey.rotationOnDemandCountMax
        if version.origin == .onDemand,
            key.versions.count(where: { $0.origin == .onDemand }) >= onDemandCountMax
        {
            throw KeyError(
                .limitExceeded,
                "key \(key.keyID) was rotated on demand \(onDemandCountMax) times, as often as it "
                    + "may be")
        }
        try change(reference) { key in
            if version.origin == .automatic { key.rotation?.since = version.createdAt }
            key = key.adding(material, version)
        }
    }

    /// Adds material to several keys, as one change of the keyring.
    ///
    /// - Throws: ``KeyError`` as ``rotate(_:adding:_:)``.
    mutating func rotate(
        _ ids: [KeyID], adding newMaterial: () -> SecretBytes, _ version: KeyVersion
    ) throws(KeyError) {
        let before = revision
        for id in ids { try rotate(KeyReference(id), adding: newMaterial(), version) }
        revision = before + 1
    }

    /// Allows or forbids the use of a key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (it is to be destroyed) or
    ///   `invalidArgument` (to disable a key that the store itself needs).
    mutating func setEnabled(_ isEnabled: Bool, _ reference: KeyReference) throws(KeyError) {
        let key = try key(reference)
        try checkStays(key)
        if !isEnabled { try checkDispensable(key) }
        try change(reference) { $0.state = isEnabled ? .enabled : .disabled }
    }

    /// Begins or ends automatic rotation; a period that is running begins anew.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled`, or `invalidArgument` (the
    ///   period).
    mutating func setRotation(
        periodDays: Int?, _ reference: KeyReference, at now: Timestamp
    ) throws(KeyError) {
        _ = try usableKey(reference)
        if let periodDays, !Self.rotationPeriodDays.contains(periodDays) {
            throw KeyError(
                .invalidArgument,
                "a rotation period is \(Self.rotationPeriodDays.lowerBound) to "
                    + "\(Self.rotationPeriodDays.upperBound) days, not \(periodDays)")
        }
        try change(reference) { key in
            key.rotation = periodDays.map {
                CustomerKey.AutomaticRotation(periodDays: UInt16($0), since: now)
            }
        }
    }

    /// The keys whose automatic rotation is due; those that may not be used wait.
    func keysDueForRotation(at now: Timestamp) -> [KeyID] {
        keys.filter { key in
            key.state == .enabled && key.versions.count < CustomerKey.materialCountMax
                && key.rotation.map { $0.isDueAt <= now } ?? false
        }.map(\.keyID)
    }

    // MARK: Labels

    /// Describes a key in other words.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (it is to be destroyed) or
    ///   `limitExceeded`.
    mutating func describe(_ reference: KeyReference, as text: String) throws(KeyError) {
        try checkStays(key(reference))
        try change(reference) { key throws(KeyError) in try key.labels.setText(text) }
    }

    /// Adds tags to a key, or gives those it has another value.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (it is to be destroyed),
    ///   `invalidArgument` (a malformed or reserved tag) or `limitExceeded`.
    mutating func tag(
        _ reference: KeyReference, with tags: [String: String]
    ) throws(KeyError) {
        try checkStays(key(reference))
        try change(reference) { key throws(KeyError) in try key.labels.add(tags) }
    }

    /// Removes tags from a key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `keyDisabled` (it is to be destroyed).
    mutating func untag(_ reference: KeyReference, keys: [String]) throws(KeyError) {
        try checkStays(key(reference))
        try change(reference) { $0.labels.remove(keys) }
    }

    // MARK: Deletion

    /// Forbids the use of a key at once and lets it be destroyed after some days.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (it is to be destroyed
    ///   already), or `invalidArgument` (the days, or a key that the store itself needs).
    mutating func scheduleDeletion(
        _ reference: KeyReference, afterDays days: Int, at now: Timestamp
    ) throws(KeyError) {
        let key = try key(reference)
        try checkStays(key)
        guard Self.deletionDays.contains(days) else {
            throw KeyError(
                .invalidArgument,
                "a key is destroyed \(Self.deletionDays.lowerBound) to "
                    + "\(Self.deletionDays.upperBound) days later, not \(days)")
        }
        try checkDispensable(key)
        let date = now + .seconds(Int64(days) * CustomerKey.secondsPerDay)
        try change(reference) { $0.state = .pendingDeletion(until: date) }
    }

    /// Lets a key stay; it is disabled then.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, or `invalidArgument` when it was to stay
    ///   anyway.
    mutating func cancelDeletion(_ reference: KeyReference) throws(KeyError) {
        try change(reference) { key throws(KeyError) in
            guard key.deletionDate != nil else {
                throw KeyError(.invalidArgument, "key \(key.keyID) is not to be destroyed")
            }
            key.state = .disabled
        }
    }

    /// Destroys the keys whose time has come, and the aliases that lead to them.
    ///
    /// - Returns: their ids; nothing was changed when there are none.
    mutating func destroyDueKeys(at now: Timestamp) -> [KeyID] {
        let due = keys.filter { key in key.deletionDate.map { $0 <= now } ?? false }
        guard !due.isEmpty else { return [] }
        let gone = Set(due.map(\.id))
        let rest = keys.filter { !gone.contains($0.id) }
        (keys, positions) = ([], [:])
        for key in rest { append(key) }
        aliases = aliases.filter { !gone.contains($0.value) }
        revision += 1
        return due.map(\.keyID)
    }

    // MARK: Aliases

    /// Lets a new alias lead to a key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed or reserved alias),
    ///   `aliasExists`, `keyNotFound`, `keyDisabled` (it is to be destroyed) or `limitExceeded`.
    mutating func createAlias(_ alias: String, to reference: KeyReference) throws(KeyError) {
        try checkOwnAlias(alias)
        try checkNewAlias(alias)
        aliases[alias] = try target(reference)
        revision += 1
    }

    /// Lets an alias lead to another key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the alias or the key), `keyDisabled` (the
    ///   key is to be destroyed) or `invalidArgument` (a reserved alias).
    mutating func updateAlias(_ alias: String, to reference: KeyReference) throws(KeyError) {
        try checkOwnAlias(alias)
        try checkExists(alias)
        aliases[alias] = try target(reference)
        revision += 1
    }

    /// Forgets an alias; the key stays.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the alias) or `invalidArgument` (a reserved
    ///   alias).
    mutating func deleteAlias(_ alias: String) throws(KeyError) {
        try checkOwnAlias(alias)
        try checkExists(alias)
        aliases[alias] = nil
        revision += 1
    }

    /// - Throws: ``KeyError`` with code `invalidArgument` for an alias that only a store makes.
    func checkOwnAlias(_ alias: String) throws(KeyError) {
        guard !KeyReference.isReserved(alias) else {
            throw KeyError(
                .invalidArgument, "aliases under \(KeyReference.reservedPrefix) are the store's")
        }
    }

    // MARK: The file

    /// Counts a change that concerns the file alone: another passphrase.
    mutating func advanceRevision() {
        revision += 1
    }

    // MARK: -

    private func checkNewAlias(_ alias: String) throws(KeyError) {
        try KeyReference.checkAlias(alias)
        guard aliases[alias] == nil else {
            throw KeyError(.aliasExists, "\(alias) already leads to a key")
        }
        guard aliases.count < Self.aliasCountMax else {
            throw KeyError(
                .limitExceeded, "a keyring holds at most \(Self.aliasCountMax) aliases")
        }
    }

    private func checkExists(_ alias: String) throws(KeyError) {
        guard aliases[alias] != nil else {
            throw KeyError(.keyNotFound, "the keyring holds no \(alias)")
        }
    }

    /// - Throws: ``KeyError`` with code `invalidArgument` for a key that the store itself needs.
    private func checkDispensable(_ key: CustomerKey) throws(KeyError) {
        guard let alias = aliases(of: key.id).first(where: KeyReference.isReserved) else { return }
        throw KeyError(
            .invalidArgument,
            "key \(key.keyID) stays enabled while \(alias) leads to it: without that key the "
                + "store could not be opened again")
    }

    // What an alias may lead to.
    private func target(_ reference: KeyReference) throws(KeyError) -> Octets16 {
        let key = try key(reference)
        try checkStays(key)
        return key.id
    }

    private mutating func append(_ key: CustomerKey) {
        positions[key.id] = keys.count
        keys.append(key)
    }

}
