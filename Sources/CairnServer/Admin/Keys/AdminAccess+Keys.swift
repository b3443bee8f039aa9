// Part of Cairn, a content-addressed blob store.

// The calls of ``KeyRequest`` by the type of their answers.
extension AdminAccess {
    /// Makes a call that answers one key.
    public func key(_ request: KeyRequest) async throws(AdminError) -> KeyInfo {
        guard case .key(let key) = try await perform(request) else { throw Self.otherAnswer }
        return key
    }

    /// Lists keys in the order of their creation.
    ///
    /// - Parameters:
    ///   - after: the id of the last key already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 keys. Fewer answers mean the end.
    public func keys(after: String?, limit: Int) async throws(AdminError) -> [KeyInfo] {
        guard case .keys(let keys) = try await perform(.list(after: after, limit: limit)) else {
            throw Self.otherAnswer
        }
        return keys
    }

    /// When and why the versions of a key's material were made.
    public func versions(ofKey key: String) async throws(AdminError) -> [KeyVersionInfo] {
        guard case .versions(let versions) = try await perform(.versions(key: key)) else {
            throw Self.otherAnswer
        }
        return versions
    }

    /// Lists the grants of a key.
    public func grants(ofKey key: String) async throws(AdminError) -> [GrantInfo] {
        guard case .grants(let grants) = try await perform(.grants(key: key)) else {
            throw Self.otherAnswer
        }
        return grants
    }

    /// Creates a grant of a key. Durable on return.
    public func createGrant(
        ofKey key: String, _ grant: GrantRequest
    ) async throws(AdminError) -> GrantInfo {
        guard case .grant(let grant) = try await perform(.createGrant(key: key, grant)) else {
            throw Self.otherAnswer
        }
        return grant
    }

    /// Makes a call that answers one bucket.
    public func bucket(_ request: KeyRequest) async throws(AdminError) -> BucketInfo {
        guard case .bucket(let bucket) = try await perform(request) else {
            throw Self.otherAnswer
        }
        return bucket
    }

    /// Wraps data keys anew: of one bucket, of all under a key, or all.
    public func rewrap(
        bucket: String?, key: String?
    ) async throws(AdminError) -> RewrapInfo {
        let answer = try await perform(.rewrap(bucket: bucket, key: key))
        guard case .rewrapped(let report) = answer else { throw Self.otherAnswer }
        return report
    }

    /// Destroys a bucket with its keys. Durable on return.
    public func shredBucket(_ name: String) async throws(AdminError) -> ShredInfo {
        guard case .shredded(let receipt) = try await perform(.shred(bucket: name)) else {
            throw Self.otherAnswer
        }
        return receipt
    }

    /// Removes from the store's files what deleted buckets and keys have left.
    ///
    /// - Returns: false while a long reader has some of it open; call again later.
    public func purge() async throws(AdminError) -> Bool {
        guard case .purged(let isComplete) = try await perform(.purge) else {
            throw Self.otherAnswer
        }
        return isComplete
    }

    /// Lists entries of the audit log.
    public func auditEntries(
        after: UInt64, limit: Int
    ) async throws(AdminError) -> [AuditEntryInfo] {
        let answer = try await perform(.auditEntries(after: after, limit: limit))
        guard case .entries(let entries) = answer else { throw Self.otherAnswer }
        return entries
    }

    /// Checks the audit log.
    public func verifyAudit(head: String?) async throws(AdminError) -> AuditInfo {
        guard case .audit(let report) = try await perform(.verifyAudit(head: head)) else {
            throw Self.otherAnswer
        }
        return report
    }

    private static var otherAnswer: AdminError {
        AdminError(.protocolViolation, "The server's answer is not understood.")
    }
}
