// Part of Cairn, a content-addressed blob store.
internal import CairnCore

extension KeyringContents {
    /// Adds a grant, unless there is one of that name and with those parameters.
    ///
    /// - Returns: the grant that is there afterwards; nothing was changed when it is an older one.
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `limitExceeded`.
    mutating func addGrant(
        _ grant: KeyGrant, to reference: KeyReference
    ) throws(KeyError) -> KeyGrant {
        let key = try usableKey(reference)
        if grant.name != nil, let older = key.grants.first(where: grant.hasSameParameters) {
            return older
        }
        guard key.grants.count < CustomerKey.grantCountMax else {
            throw KeyError(
                .limitExceeded, "a key has at most \(CustomerKey.grantCountMax) grants")
        }
        let byteCount = key.grants.reduce(grant.encodedByteCount) { $0 + $1.encodedByteCount }
        guard byteCount <= CustomerKey.grantsByteCountMax else {
            throw KeyError(
                .limitExceeded,
                "the grants of a key take at most \(CustomerKey.grantsByteCountMax >> 20) MiB")
        }
        try change(reference) { $0.grants.append(grant) }
        return grant
    }

    /// Removes a grant that a principal gives up.
    ///
    /// - Throws: ``KeyError`` with code `accessDenied`, also when there is no such grant.
    mutating func retireGrant(_ id: String, by principal: String) throws(KeyError) {
        let uuid = Octets16(uuid: id)
        guard
            let key = keys.first(where: { key in
                key.grants.contains { $0.uuid == uuid && $0.isRetirable(by: principal) }
            })
        else {
            throw KeyError(
                .accessDenied,
                "\(principal) may not retire this grant, or there is none; who owns the key can "
                    + "revoke it")
        }
        try change(KeyReference(key.keyID)) { key in key.grants.removeAll { $0.uuid == uuid } }
    }

    /// Removes a grant of a key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the key or the grant).
    mutating func revokeGrant(_ id: String, of reference: KeyReference) throws(KeyError) {
        let uuid = Octets16(uuid: id)
        try change(reference) { key throws(KeyError) in
            guard let index = key.grants.firstIndex(where: { $0.uuid == uuid }) else {
                throw KeyError(.keyNotFound, "key \(key.keyID) has no such grant")
            }
            key.grants.remove(at: index)
        }
    }
}
