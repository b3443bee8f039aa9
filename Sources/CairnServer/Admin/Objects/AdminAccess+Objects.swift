// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore

// The calls of ``ObjectRequest`` by the type of their answers.
extension AdminAccess {
    /// Makes a call that answers one object.
    public func object(_ request: ObjectRequest) async throws(AdminError) -> ObjectInfo {
        guard case .object(let object) = try await perform(request) else {
            throw AdminClient.malformed
        }
        return object
    }

    /// Lists objects in the byte order of their keys.
    public func objects(
        in bucket: String, _ request: ObjectListRequest
    ) async throws(AdminError) -> ObjectListing {
        guard case .listing(let listing) = try await perform(.list(bucket: bucket, request)) else {
            throw AdminClient.malformed
        }
        return listing
    }

    /// Lists versions of objects: keys in byte order, of each key the newest first.
    public func objectVersions(
        in bucket: String, _ request: ObjectListRequest
    ) async throws(AdminError) -> ObjectVersionListing {
        guard
            case .versions(let listing) = try await perform(
                .listVersions(bucket: bucket, request))
        else { throw AdminClient.malformed }
        return listing
    }

    /// Tells whether a bucket keeps versions of its objects; sets it first, if asked.
    public func versioning(
        of bucket: String, setting versioning: String? = nil
    ) async throws(AdminError) -> String {
        guard
            case .versioning(let value) = try await perform(
                .versioning(bucket: bucket, versioning))
        else { throw AdminClient.malformed }
        return value
    }

    /// Removes a version of an object for good. Durable on return.
    ///
    /// - Parameter bypassGovernance: whether a retention in governance mode counts for nothing.
    public func deleteVersion(
        _ version: String, ofObject key: String, in bucket: String, bypassGovernance: Bool = false
    ) async throws(AdminError) {
        guard
            case .done = try await perform(
                .deleteVersion(
                    bucket: bucket, key: key, version: version,
                    bypassGovernance: bypassGovernance))
        else { throw AdminClient.malformed }
    }

    /// The lifecycle rules of a bucket; sets them first, if asked. Durable on return.
    public func lifecycle(
        of bucket: String, setting rules: [LifecycleRuleInfo]? = nil
    ) async throws(AdminError) -> [LifecycleRuleInfo] {
        guard case .lifecycle(let rules) = try await perform(.lifecycle(bucket: bucket, rules))
        else { throw AdminClient.malformed }
        return rules
    }

    /// What lifecycle rules would do to a bucket now; nil is its own.
    public func previewLifecycle(
        of bucket: String, trying rules: [LifecycleRuleInfo]? = nil
    ) async throws(AdminError) -> LifecyclePreviewInfo {
        guard
            case .lifecyclePreview(let preview) = try await perform(
                .previewLifecycle(bucket: bucket, rules))
        else { throw AdminClient.malformed }
        return preview
    }

    /// Does what the lifecycle rules of all buckets want done by now.
    public func applyLifecycle() async throws(AdminError) -> LifecycleReportInfo {
        guard case .lifecycleReport(let report) = try await perform(.applyLifecycle) else {
            throw AdminClient.malformed
        }
        return report
    }

    /// What a bucket has committed behind a position.
    public func events(
        of bucket: String, after cursor: String?, limit: Int
    ) async throws(AdminError) -> BucketEventListing {
        guard
            case .events(let page) = try await perform(
                .events(bucket: bucket, after: cursor, limit: limit))
        else { throw AdminClient.malformed }
        return page
    }

    /// Deletes an object. Durable on return.
    public func deleteObject(
        _ key: String, in bucket: String, ifMatch etag: String? = nil
    ) async throws(AdminError) {
        guard case .done = try await perform(.delete(bucket: bucket, key: key, ifMatch: etag))
        else { throw AdminClient.malformed }
    }

    /// Reads an object or a part of it, in order.
    ///
    /// - Parameters:
    ///   - version: which version; nil is the latest.
    ///   - range: `A-B`, `A-` or `-N`, as ``ByteRange`` reads it; nil is the whole object.
    ///   - sink: called with one buffer after the other; reading waits for it to return.
    /// - Throws: `objectUnknown`, `rangeInvalid` (malformed, or past the end), `corrupted`,
    ///   `sinkFailed`.
    public func getObject(
        _ key: String, version: String? = nil, in bucket: String, range: String?,
        into sink: @escaping AdminByteSink
    ) async throws(AdminError) -> ObjectInfo {
        let head = ObjectRequest.head(bucket: bucket, key: key, version: version)
        while true {
            let object = try await object(head)
            let range = try range.map { (text) throws(AdminError) in
                guard let range = ByteRange(text)?.resolved(byteCount: object.byteCount) else {
                    throw AdminError(
                        .rangeInvalid,
                        "The range \(text) is malformed or past the \(object.byteCount) bytes.")
                }
                return range
            }
            do throws(AdminError) {
                guard let digest = try? Digest(object.digest) else { throw AdminClient.malformed }
                _ = try await get(digest, in: bucket, range: range, into: sink)
                return object
            } catch {
                // Replaced in between, and its body gone: nothing was sent yet.
                guard error.code.name == "blobUnknown",
                    try await self.object(head) != object
                else { throw error }
            }
        }
    }
}
