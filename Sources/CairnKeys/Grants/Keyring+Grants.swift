// Part of Cairn, a content-addressed blob store.
internal import CairnCore

extension Keyring {
    /// The keys as one principal may use them: what no grant allows is denied.
    ///
    /// Of this keyring alone, not of its successors; see ``GrantedKeys/init(principal:current:)``.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (the form of the principal).
    public func acting(as principal: String) throws(KeyError) -> GrantedKeys {
        try GrantedKeys(principal: principal) { self }
    }

    /// The grants of a key in the order of their creation (KMS `ListGrants`).
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    package func grants(of key: KeyReference) throws(KeyError) -> [KeyGrant] {
        try contents.key(key).grants
    }

    /// The keyring with one more grant of a key (KMS `CreateGrant`).
    ///
    /// A grant with a name can be made again: when there is one with the same parameters, that one
    /// comes back, and the keyring is this one, which need not be written.
    ///
    /// - Parameters:
    ///   - name: 1 to ``KeyGrant/nameByteCountMax`` letters, digits and `:/_-`, or none.
    ///   - granteePrincipal: Who may use the key; 1 to ``KeyGrant/principalByteCountMax`` bytes.
    ///   - retiringPrincipal: Who may give the grant up, besides a grantee that may.
    ///   - operations: What is allowed; at least one.
    /// - Throws: ``KeyError`` with code `invalidArgument`, `keyNotFound`, `keyDisabled` or
    ///   `limitExceeded` (1,000 grants of a key, or 2 MiB).
    package func addingGrant(
        to key: KeyReference, name: String? = nil, granteePrincipal: String,
        retiringPrincipal: String? = nil, operations: Set<KeyOperation>,
        constraint: KeyGrant.Constraint = .none
    ) throws(KeyError) -> (keyring: Keyring, grant: KeyGrant) {
        let new = try KeyGrant(
            uuid: .randomUUID(from: random), name: name, granteePrincipal: granteePrincipal,
            retiringPrincipal: retiringPrincipal, operations: operations, constraint: constraint,
            createdAt: clock.now())
        var held = new
        let next = try successor { contents throws(KeyError) in
            held = try contents.addGrant(new, to: key)
        }
        return (held.uuid == new.uuid ? next : self, held)
    }

    /// The keyring without a grant that its retiring principal gives up, or its grantee if the
    /// grant allows `retireGrant` (KMS `RetireGrant`). The state of the key does not matter.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (the form of the principal) or
    ///   `accessDenied`, also for a grant that does not exist: nobody finds out which ones do.
    package func retiringGrant(_ id: String, by principal: String) throws(KeyError) -> Keyring {
        // Text of another form may still be what Unicode calls equal to a principal's.
        try KeyGrant.checkPrincipal(principal)
        return try successor { contents throws(KeyError) in
            try contents.retireGrant(id, by: principal)
        }
    }

    /// The keyring without a grant (KMS `RevokeGrant`). The state of the key does not matter.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the key or the grant).
    package func revokingGrant(_ id: String, of key: KeyReference) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.revokeGrant(id, of: key) }
    }
}
