// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex
public import CairnKeys

/// The key management service of a store: creates and governs the customer keys of its keyring.
///
/// Operations, states and limits are those of AWS KMS under the same names. Every change is
/// recorded in the audit log, then durable, then in effect: what disables a key is obeyed by the
/// next call, on uploads and readers under way as well. Thread-safe; changes wait for each other.
///
/// ```swift
/// let key = try await store.keyService!.createKey(alias: "alias/team-a")
/// let bucket = try await account.createBucket(
///     "team-a/app", configuration: .init(encryption: .customerKey(KeyReference(key.id))))
/// ```
public final class KeyService: Sendable {
    let engine: Engine
    let holder: KeyringHolder

    init(_ engine: Engine, _ holder: KeyringHolder) {
        self.engine = engine
        self.holder = holder
    }

    /// The same keys for the embedder's own data, as a key provider. Each use is recorded.
    public var provider: any KeyProvider {
        AuditedProvider(base: holder, recorder: engine.audit)
    }

    // MARK: - Keys

    /// Creates a customer key with random material (KMS `CreateKey`). Durable on return.
    ///
    /// - Parameters:
    ///   - alias: `alias/` and a name; nil makes none.
    ///   - description: what the key is for; at most 8192 bytes.
    ///   - tags: see ``tag(_:with:)``.
    /// - Throws: ``StoreError`` with code `aliasExists`, `invalidArgument` (the alias is malformed
    ///   or the store's own, or a tag is), `limitExceeded`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func createKey(
        alias: String? = nil, description: String = "", tags: [String: String] = [:]
    ) async throws(StoreError) -> KeyDescription {
        try await change("CreateKey", nil, alias ?? "") { (keyring) throws(KeyError) in
            let successor = try keyring.addingKey(
                alias: alias, description: description, tags: tags)
            guard let key = successor.keys.last else {
                throw KeyError(.keyNotFound, "the keyring lost a key it was given")
            }
            return (successor, key)
        } naming: {
            $0.id.text
        }
    }

    /// Lists the customer keys in the order of their creation (KMS `ListKeys`).
    ///
    /// - Parameters:
    ///   - after: the last key already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 keys. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `keyUnknown` (`after`),
    ///   `closed`.
    public func keys(
        after: KeyID? = nil, limit: Int = 1000
    ) async throws(StoreError) -> [KeyDescription] {
        try Bucket.checkPage(limit)
        try engine.checkOpen()
        let keys = holder.current.keys
        guard let after else { return Array(keys.prefix(limit)) }
        guard let position = keys.firstIndex(where: { $0.id == after }) else {
            throw StoreError(.keyUnknown, "the keyring holds no key \(after)")
        }
        return Array(keys[(position + 1)...].prefix(limit))
    }

    /// Describes a key, whatever its state (KMS `DescribeKey`).
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `closed`.
    public func describe(_ key: KeyReference) async throws(StoreError) -> KeyDescription {
        try engine.checkOpen()
        do throws(KeyError) { return try await holder.describeKey(key) } catch {
            throw StoreError(error, while: "describing a key")
        }
    }

    /// Allows the use of a key again (KMS `EnableKey`). Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (it is to be destroyed:
    ///   cancel that first), `outOfSpace`, `io`, `closed`.
    public func enable(_ key: KeyReference) async throws(StoreError) {
        try await change("EnableKey", key) { (keyring) throws(KeyError) in
            (try keyring.settingKey(key, isEnabled: true), ())
        }
    }

    /// Forbids every use of a key until it is enabled again (KMS `DisableKey`). Durable on return.
    ///
    /// From then on each read and write of the buckets under the key throws `keyDisabled`, also
    /// of readers and upload sessions that are under way. Nothing is lost: once the key is
    /// enabled, all goes on.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (it is to be destroyed),
    ///   `invalidArgument` (the store's own default key), `outOfSpace`, `io`, `closed`.
    public func disable(_ key: KeyReference) async throws(StoreError) {
        try await change("DisableKey", key) { (keyring) throws(KeyError) in
            (try keyring.settingKey(key, isEnabled: false), ())
        }
    }

    // MARK: - Aliases

    /// Makes an alias that leads to a key (KMS `CreateAlias`). Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `aliasExists`, `invalidArgument` (malformed or the
    ///   store's own), `keyUnknown`, `keyDisabled` (it is to be destroyed), `limitExceeded`,
    ///   `outOfSpace`, `io`, `closed`.
    public func createAlias(
        _ alias: String, for key: KeyReference
    ) async throws(StoreError) {
        try await change("CreateAlias", key, alias) { (keyring) throws(KeyError) in
            (try keyring.addingAlias(alias, to: key), ())
        }
    }

    /// Lets an alias lead to another key (KMS `UpdateAlias`). Durable on return.
    ///
    /// Buckets keep the key they have: an alias is followed when a bucket gets its key.
    ///
    /// - Throws: as ``createAlias(_:for:)``; `keyUnknown` also when there is no such alias.
    public func updateAlias(
        _ alias: String, to key: KeyReference
    ) async throws(StoreError) {
        try await change("UpdateAlias", key, alias) { (keyring) throws(KeyError) in
            (try keyring.movingAlias(alias, to: key), ())
        }
    }

    /// Removes an alias; the key stays (KMS `DeleteAlias`). Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown` (no such alias), `invalidArgument` (the
    ///   store's own), `outOfSpace`, `io`, `closed`.
    public func deleteAlias(_ alias: String) async throws(StoreError) {
        try await change("DeleteAlias", nil, alias) { (keyring) throws(KeyError) in
            (try keyring.removingAlias(alias), ())
        }
    }

    // MARK: - Rotation

    /// Gives a key new material now (KMS `RotateKeyOnDemand`). Durable on return.
    ///
    /// New data keys are wrapped with it; what is wrapped already still opens. See
    /// ``Store/rewrapKeys(under:progress:)`` to bring that up to date too.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled`, `limitExceeded` (25 times),
    ///   `outOfSpace`, `io`, `closed`.
    public func rotate(_ key: KeyReference) async throws(StoreError) {
        try await change("RotateKeyOnDemand", key) { (keyring) throws(KeyError) in
            (try keyring.rotatingKey(key), ())
        }
    }

    /// Gives a key new material after each period (KMS `EnableKeyRotation`). Durable on return.
    ///
    /// - Parameter periodDays: 90 to 2560.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled`, `invalidArgument` (the
    ///   period), `outOfSpace`, `io`, `closed`.
    public func enableRotation(
        of key: KeyReference, periodDays: Int = 365
    ) async throws(StoreError) {
        try await change("EnableKeyRotation", key, String(periodDays)) {
            (keyring) throws(KeyError) in
            (try keyring.settingRotation(periodDays: periodDays, of: key), ())
        }
    }

    /// Ends automatic rotation (KMS `DisableKeyRotation`). Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled`, `outOfSpace`, `io`,
    ///   `closed`.
    public func disableRotation(of key: KeyReference) async throws(StoreError) {
        try await change("DisableKeyRotation", key) { (keyring) throws(KeyError) in
            (try keyring.settingRotation(periodDays: nil, of: key), ())
        }
    }

    /// When and why each version of a key's material was made (KMS `ListKeyRotations`).
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `closed`.
    public func versions(of key: KeyReference) async throws(StoreError) -> [KeyVersion] {
        try engine.checkOpen()
        return try lower(
            "describing a key",
            keys: { () throws(KeyError) in
                try holder.current.versions(of: key)
            })
    }

    /// The key and the version of its material that made a ciphertext, whether it opens or not
    /// (KMS `KeyId` and `KeyMaterialId`).
    ///
    /// - Throws: ``StoreError`` with code `corrupted` (no ciphertext of a keyring), `keyUnknown`
    ///   (of another keyring, or the key was destroyed), `formatTooNew`, `closed`.
    public func describeCiphertext(
        _ ciphertext: [UInt8]
    ) throws(StoreError) -> CiphertextDescription {
        try engine.checkOpen()
        return try lower(
            "describing a ciphertext",
            keys: { () throws(KeyError) in
                try holder.current.describeCiphertext(ciphertext)
            })
    }

    // MARK: - Deletion

    /// Forbids every use of a key at once and destroys it later (KMS `ScheduleKeyDeletion`).
    /// Durable on return.
    ///
    /// All that lies in buckets under the key is lost then, in every copy of the store.
    ///
    /// - Parameter days: 7 to 30.
    /// - Returns: when the key is destroyed.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (scheduled before),
    ///   `invalidArgument` (the days, or the store's own default key), `outOfSpace`, `io`,
    ///   `closed`.
    @discardableResult
    public func scheduleDeletion(
        of key: KeyReference, afterDays days: Int = 30
    ) async throws(StoreError) -> Timestamp? {
        let id = try await describe(key).id
        try await change("ScheduleKeyDeletion", key, String(days)) { (keyring) throws(KeyError) in
            (try keyring.schedulingDeletion(of: key, afterDays: days), ())
        }
        return try await describe(KeyReference(id)).deletionDate
    }

    /// Lets a key stay; it is disabled then (KMS `CancelKeyDeletion`). Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `invalidArgument` (it was to stay),
    ///   `outOfSpace`, `io`, `closed`.
    public func cancelDeletion(of key: KeyReference) async throws(StoreError) {
        try await change("CancelKeyDeletion", key) { (keyring) throws(KeyError) in
            (try keyring.cancellingDeletion(of: key), ())
        }
    }

    /// Rotates and destroys the keys whose time has come. Durable on return.
    ///
    /// The server does so with its other upkeep, and opening a store does; whoever embeds a store
    /// calls it now and then.
    ///
    /// - Returns: the keys that were destroyed.
    /// - Throws: ``StoreError`` with code `limitExceeded`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func runSchedule() async throws(StoreError) -> [KeyID] {
        try await change("RotateKey", nil, "automatic") { (keyring) throws(KeyError) in
            (try keyring.rotatingDueKeys(), ())
        }
        let due = holder.current.destroyingDueKeys()?.destroyed ?? []
        guard !due.isEmpty else { return [] }
        let destroyed = try await change(
            "DeleteKey", nil, due.map(\.text).joined(separator: " ")
        ) { (keyring) throws(KeyError) in
            let next = keyring.destroyingDueKeys()
            return (next?.keyring, next?.destroyed ?? [])
        }
        let rows = engine.audit.uses.forget(destroyed)
        try await engine.transact { (transaction) throws(StoreError) in
            for row in rows { try transaction.delete(Tables.meta, row) }
        }
        return destroyed
    }

    // MARK: -

    // The act is recorded before it takes effect; one that failed after that is recorded again.
    func change<R: Sendable>(
        _ action: String, _ key: KeyReference?, _ detail: String = "",
        _ body: @escaping @Sendable (Keyring) throws(KeyError) -> (Keyring?, R),
        naming subject: @escaping @Sendable (R) -> String? = { _ in nil }
    ) async throws(StoreError) -> R {
        // The id: an alias may lead elsewhere when somebody reads the log.
        var named = key?.text ?? ""
        if let key {
            do throws(KeyError) { named = try await holder.describeKey(key).id.text } catch {}
        }
        let event = AuditEvent(action: action, key: named, detail: detail)
        let before = holder.current.revision
        let result = try await engine.withAuditLog { [holder] (log) throws(StoreError) -> R in
            do throws(StoreError) {
                return try holder.change(body) { (result) throws(StoreError) in
                    var event = event
                    if let subject = subject(result) { event.key = subject }
                    _ = try log.append(event, durably: true)
                }
            } catch {
                _ = try? log.append(event.failed(error), durably: true)
                throw error
            }
        }
        guard holder.current.revision != before else { return result }
        // Whatever a key allowed is asked for anew.
        engine.keys.forgetAll()
        // The change is in effect whether it can be noted or not; the next opening notes it.
        do throws(StoreError) {
            try await engine.noteKeyring(revision: holder.current.revision)
        } catch {}
        return result
    }
}

extension Engine {
    /// Refuses a keyring that is an older copy of the one that the store had, in which keys may
    /// be enabled again that were disabled since, and others are missing.
    func checkKeyring() async throws(StoreError) {
        guard let revision = keyring?.current.revision else { return }
        let row = try await read("reading the revision of the keyring") {
            (index) throws(IndexError) in
            try index.get(Tables.meta, MetaKey.keyringRevision)
        }
        // That a note is missing is in the log.
        let known = try notes.revision(row) ?? 0
        guard revision >= known else {
            throw StoreError(
                .corrupted,
                "the keyring is an older copy, of revision \(revision) where the store has seen "
                    + "\(known); put the newest copy in its place")
        }
        if revision > known { try await noteKeyring(revision: revision) }
    }

    /// Notes how new the keyring is, so that an older copy of its file shows, and where the audit
    /// log ends.
    func noteKeyring(revision: UInt64) async throws(StoreError) {
        let notes = try notes
        try await noteAuditHead { (transaction) throws(StoreError) in
            let known = try transaction.get(Tables.meta, MetaKey.keyringRevision)
            if notes.revision(known) ?? 0 < revision {
                try transaction.put(
                    Tables.meta, MetaKey.keyringRevision, notes.encode(revision: revision))
            }
        }
    }
}
