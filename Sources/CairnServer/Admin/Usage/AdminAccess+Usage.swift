// Part of Cairn, a content-addressed blob store.

// The calls of ``UsageRequest`` by the type of their answers.
extension AdminAccess {
    /// The quota of a bucket, or of the account; sets it first, if asked. Durable on return.
    public func quota(
        of bucket: String?, setting quota: QuotaInfo? = nil
    ) async throws(AdminError) -> QuotaInfo {
        guard case .quota(let quota) = try await perform(.quota(bucket: bucket, quota)) else {
            throw AdminClient.malformed
        }
        return quota
    }

    /// The quotas of buckets, a page at a time.
    public func quotas(
        after: String?, limit: Int
    ) async throws(AdminError) -> QuotaListing {
        guard case .quotas(let page) = try await perform(.quotas(after: after, limit: limit))
        else { throw AdminClient.malformed }
        return page
    }

    /// Who pays for shared blobs; sets it first, if asked. Durable on return.
    public func charging(setting mode: String? = nil) async throws(AdminError) -> String {
        guard case .charging(let mode) = try await perform(.charging(mode)) else {
            throw AdminClient.malformed
        }
        return mode
    }

    /// What a bucket has, or the account.
    public func usage(of bucket: String?) async throws(AdminError) -> UsageInfo {
        guard case .usage(let usage) = try await perform(.usage(bucket: bucket)) else {
            throw AdminClient.malformed
        }
        return usage
    }

    /// What buckets have, a page at a time. Fewer than `limit` answers mean the end.
    public func usages(after: String?, limit: Int) async throws(AdminError) -> [UsageInfo] {
        guard case .usages(let usages) = try await perform(.usages(after: after, limit: limit))
        else { throw AdminClient.malformed }
        return usages
    }

    /// What waits for the sweep, by the buckets that have brought it.
    public func garbage() async throws(AdminError) -> [GarbageInfo] {
        guard case .garbage(let garbage) = try await perform(.garbage) else {
            throw AdminClient.malformed
        }
        return garbage
    }

    /// What the account may use in a month, and has; sets some first, if asked. Durable on return.
    public func allowances(
        setting allowances: [AllowanceInfo]? = nil
    ) async throws(AdminError) -> [AllowanceInfo] {
        guard case .allowances(let allowances) = try await perform(.allowances(allowances)) else {
            throw AdminClient.malformed
        }
        return allowances
    }

    /// Whether everybody may read a bucket; says so first, if asked. Durable on return.
    public func isPublic(
        _ bucket: String, setting isPublic: Bool? = nil
    ) async throws(AdminError) -> Bool {
        guard
            case .visibility(let isPublic) = try await perform(
                .visibility(bucket: bucket, isPublic: isPublic))
        else { throw AdminClient.malformed }
        return isPublic
    }

    /// Where the bytes of the store's files are.
    public func storeUsage() async throws(AdminError) -> StoreUsageInfo {
        guard case .store(let usage) = try await perform(.store) else {
            throw AdminClient.malformed
        }
        return usage
    }

    /// What was held in a month, `YYYY-MM`.
    public func bill(
        _ month: String, bucket: String? = nil, includesDays: Bool = false
    ) async throws(AdminError) -> BillInfo {
        guard
            case .bill(let bill) = try await perform(
                .bill(month: month, bucket: bucket, includesDays: includesDays))
        else { throw AdminClient.malformed }
        return bill
    }
}
