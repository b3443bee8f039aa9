// Part of Cairn, a content-addressed blob store.

// The calls of ``KeyRequest`` by the type of their answers.
extension AdminAccess {
    /// Makes a call that answers one key.
    public func key(_ request: KeyRequest) async throws(AdminError) -> KeyInfo {
        try await ask(request) { answer in
            if case .key(let value) = answer { value } else { nil }
        }
    }

    /// Lists keys in the order of their creation.
    ///
    /// - Parameters:
    ///   - after: the id of the last key already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 keys. Fewer answers mean the end.
    public func keys(after: String?, limit: Int) async throws(AdminError) -> [KeyInfo] {
        try await ask(.list(after: after, limit: limit)) { answer in
            if case .keys(let value) = answer { value } else { nil }
        }
    }

    /// When and why the versions of a key's material were made.
    public func versions(ofKey key: String) async throws(AdminError) -> [KeyVersionInfo] {
        try await ask(.versions(key: key)) { answer in
            if case .versions(let value) = answer { value } else { nil }
        }
    }

    /// Lists the grants of a key.
    public func grants(ofKey key: String) async throws(AdminError) -> [GrantInfo] {
        try await ask(.grants(key: key)) { answer in
            if case .grants(let value) = answer { value } else { nil }
        }
    }

    /// Creates a grant of a key. Durable on return.
    public func createGrant(
        ofKey key: String, _ grant: GrantRequest
    ) async throws(AdminError) -> GrantInfo {
        try await ask(.createGrant(key: key, grant)) { answer in
            if case .grant(let value) = answer { value } else { nil }
        }
    }

    /// Makes a call that answers one bucket.
    public func bucket(_ request: KeyRequest) async throws(AdminError) -> BucketInfo {
        try await ask(request) { answer in
            if case .bucket(let value) = answer { value } else { nil }
        }
    }

    /// Wraps data keys anew: of one bucket, of all under a key, or all.
    public func rewrap(
        bucket: String?, key: String?
    ) async throws(AdminError) -> RewrapInfo {
        try await ask(.rewrap(bucket: bucket, key: key)) { answer in
            if case .rewrapped(let value) = answer { value } else { nil }
        }
    }

    /// Destroys a bucket with its keys. Durable on return.
    public func shredBucket(_ name: String) async throws(AdminError) -> ShredInfo {
        try await ask(.shred(bucket: name)) { answer in
            if case .shredded(let value) = answer { value } else { nil }
        }
    }

    /// Removes from the store's files what deleted buckets and keys have left.
    ///
    /// - Returns: false while a long reader has some of it open; call again later.
    public func purge() async throws(AdminError) -> Bool {
        try await ask(.purge) { answer in
            if case .purged(let value) = answer { value } else { nil }
        }
    }

    /// Lists entries of the audit log.
    public func auditEntries(
        after: UInt64, limit: Int
    ) async throws(AdminError) -> [AuditEntryInfo] {
        try await ask(.auditEntries(after: after, limit: limit)) { answer in
            if case .entries(let value) = answer { value } else { nil }
        }
    }

    /// Checks the audit log.
    public func verifyAudit(head: String?) async throws(AdminError) -> AuditInfo {
        try await ask(.verifyAudit(head: head)) { answer in
            if case .audit(let value) = answer { value } else { nil }
        }
    }

    // What a call answers, by its kind.
    private func ask<Answer>(
        _ request: KeyRequest, _ kind: (KeyAnswer) -> Answer?
    ) async throws(AdminError) -> Answer {
        guard let answer = kind(try await perform(request)) else { throw AdminClient.malformed }
        return answer
    }
}
