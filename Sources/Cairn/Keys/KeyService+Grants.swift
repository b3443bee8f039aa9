// Part of Cairn, a content-addressed blob store.

public import CairnKeys

// Descriptions, tags, grants and last use.
extension KeyService {
    /// Describes what a key is for (KMS `UpdateKeyDescription`). Durable on return.
    ///
    /// - Parameter text: at most 8192 bytes.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (it is to be destroyed),
    ///   `limitExceeded`, `outOfSpace`, `io`, `closed`.
    public func setDescription(
        _ text: String, of key: KeyReference
    ) async throws(StoreError) {
        try await change("UpdateKeyDescription", key) { (keyring) throws(KeyError) in
            (try keyring.describingKey(key, as: text), ())
        }
    }

    /// Adds tags to a key, or gives those it has other values (KMS `TagResource`). Durable on
    /// return.
    ///
    /// - Parameter tags: keys of 1 to 128 and values of 0 to 256 letters, digits, spaces and
    ///   `_.:/=+-@`; at most 50 on a key.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (it is to be destroyed),
    ///   `invalidArgument`, `limitExceeded`, `outOfSpace`, `io`, `closed`.
    public func tag(_ key: KeyReference, with tags: [String: String]) async throws(StoreError) {
        let names = tags.keys.sorted().joined(separator: " ")
        try await change("TagResource", key, names) { (keyring) throws(KeyError) in
            (try keyring.taggingKey(key, with: tags), ())
        }
    }

    /// Takes tags from a key; those it does not have do not matter (KMS `UntagResource`). Durable
    /// on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (it is to be destroyed),
    ///   `outOfSpace`, `io`, `closed`.
    public func untag(_ key: KeyReference, _ names: [String]) async throws(StoreError) {
        try await change(
            "UntagResource", key, names.joined(separator: " ")
        ) { (keyring) throws(KeyError) in
            (try keyring.untaggingKey(key, keys: names), ())
        }
    }

    /// When a key was last used, and for what (KMS `GetKeyLastUsage`); nil when never.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `closed`.
    public func lastUse(of key: KeyReference) async throws(StoreError) -> KeyUse? {
        engine.audit.uses[try await describe(key).id]
    }

    // MARK: - Grants

    /// The keys as a principal may use them, by the grants that there are at each call.
    ///
    /// For servers that let others call the key service. Each use is recorded.
    ///
    /// - Throws: ``StoreError`` with code `invalidArgument` (the form of the principal).
    public func provider(for principal: String) throws(StoreError) -> any KeyProvider {
        let granted = try lower(
            "acting for a principal",
            keys: { () throws(KeyError) in
                try GrantedKeys(principal: principal) { [holder] in holder.current }
            })
        return AuditedProvider(base: granted, recorder: engine.audit, principal: principal)
    }

    /// Lists the grants of a key in the order of their creation (KMS `ListGrants`).
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown`, `closed`.
    public func grants(of key: KeyReference) async throws(StoreError) -> [KeyGrant] {
        try engine.checkOpen()
        return try lower(
            "listing grants",
            keys: { () throws(KeyError) in
                try holder.current.grants(of: key)
            })
    }

    /// Allows a principal some uses of a key (KMS `CreateGrant`). Durable on return.
    ///
    /// - Parameters:
    ///   - principal: who may use the key; 1 to 256 printable ASCII characters without spaces.
    ///   - operations: what is allowed; at least one.
    ///   - constraint: with which encryption contexts.
    ///   - retiringPrincipal: who may give the grant up.
    ///   - name: makes the call repeatable: the same name with the same parameters is the same
    ///     grant.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled`, `invalidArgument`,
    ///   `limitExceeded` (1,000 grants of a key), `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func createGrant(
        of key: KeyReference, to principal: String, operations: Set<KeyOperation>,
        constraint: KeyGrant.Constraint = .none, retiringPrincipal: String? = nil,
        name: String? = nil
    ) async throws(StoreError) -> KeyGrant {
        try await change("CreateGrant", key, principal) { (keyring) throws(KeyError) in
            let (next, grant) = try keyring.addingGrant(
                to: key, name: name, granteePrincipal: principal,
                retiringPrincipal: retiringPrincipal, operations: operations,
                constraint: constraint)
            return (next.revision == keyring.revision ? nil : next, grant)
        }
    }

    /// Takes a grant back (KMS `RevokeGrant`). In effect and durable on return.
    ///
    /// - Throws: ``StoreError`` with code `keyUnknown` (the key or the grant), `outOfSpace`, `io`,
    ///   `closed`.
    public func revokeGrant(_ id: String, of key: KeyReference) async throws(StoreError) {
        try await change("RevokeGrant", key, id) { (keyring) throws(KeyError) in
            (try keyring.revokingGrant(id, of: key), ())
        }
    }

    /// Gives a grant up, by its retiring principal or a grantee that may (KMS `RetireGrant`). In
    /// effect and durable on return.
    ///
    /// - Throws: ``StoreError`` with code `accessDenied`, `invalidArgument`, `outOfSpace`, `io`,
    ///   `closed`.
    public func retireGrant(_ id: String, by principal: String) async throws(StoreError) {
        try await change("RetireGrant", nil, "\(id) \(principal)") { (keyring) throws(KeyError) in
            (try keyring.retiringGrant(id, by: principal), ())
        }
    }
}
