// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// The index tables of a store. Formats/Store.md describes every row.
enum Tables {
    /// `store` → the store's identity; `nextKeySlot` → the first unused slot; `chunkCount` → the
    /// rows of the chunk table.
    static let meta = IndexTable("meta", .small)
    /// Account name → account.
    static let accounts = IndexTable("accounts", .small)
    /// Account id ‖ bucket name → bucket id. Ordered by name, for listing.
    static let bucketNames = IndexTable("bucket-names", .ordered)
    /// Bucket id → bucket.
    static let buckets = IndexTable("buckets", .small)
    /// Key slot → wrapped key.
    static let keys = IndexTable("keys", .small)
    /// Chunk id → placement and reference count: the largest table.
    static let chunks = IndexTable(
        "chunks", .pointLookups(keyByteCount: Octets32.byteCount))
    /// Bucket id ‖ keyed name of a digest → link.
    static let links = IndexTable("links", .ordered)
    /// The same key → sealed bytes of a blob too small for a segment.
    static let smallBlobs = IndexTable("small-blobs", .ordered)
    /// Bucket id ‖ object key → object.
    static let objects = IndexTable("objects", .ordered)
    /// The same key → the blobs that the object keeps alive beside its body.
    static let objectReferences = IndexTable("object-references", .ordered)
    /// Bucket id ‖ object key ‖ 0 ‖ inverted sequence ‖ token → object: older versions, and the
    /// delete markers.
    static let objectVersions = IndexTable("object-versions", .ordered)
    /// Bucket id ‖ object key → sequence of the null version, where it is an older one.
    static let nullVersions = IndexTable("null-versions", .ordered)
    /// Bucket id ‖ end ‖ object key, or that and 0 ‖ token → empty: which versions may not be
    /// deleted until when.
    static let objectLocks = IndexTable("object-locks", .ordered)
    /// Bucket id ‖ number → event.
    static let events = IndexTable("events", .ordered)
    /// Bucket id → where its events begin and end.
    static let eventHeads = IndexTable("event-heads", .small)
    /// Bucket id ‖ object key → when lifecycle rules may be due for its versions; without a key,
    /// how far a walk over the bucket has come after the rules were changed.
    static let lifecycleKeys = IndexTable("lifecycle-keys", .ordered)
    /// That time ‖ bucket id ‖ object key → empty.
    static let lifecycleDue = IndexTable("lifecycle-due", .ordered)
    /// Bucket id → what was set of the bucket; absent while nothing was.
    static let bucketSettings = IndexTable("bucket-settings", .small)
    /// Bucket id ‖ keyed name of a digest ‖ object key → empty: who keeps a blob alive.
    static let references = IndexTable("references", .ordered)
    /// Bucket id ‖ session id → checkpoint of an upload session.
    static let uploads = IndexTable("uploads", .ordered)
    /// Expiry ‖ bucket id ‖ session id → empty: which upload sessions are due.
    static let uploadExpiry = IndexTable("upload-expiry", .ordered)
    /// Bucket id ‖ object key ‖ 0 ‖ upload id → multipart upload.
    static let multipartUploads = IndexTable("multipart-uploads", .ordered)
    /// Bucket id ‖ upload id → what is sealed of it.
    static let multipartContents = IndexTable("multipart-contents", .ordered)
    /// Bucket id ‖ upload id ‖ part number → part.
    static let parts = IndexTable("parts", .ordered)
    /// Expiry ‖ bucket id ‖ object key ‖ 0 ‖ upload id → empty: which multipart uploads are due.
    static let multipartExpiry = IndexTable("multipart-expiry", .ordered)
    /// End ‖ bucket id ‖ keyed name of a digest → empty: which leases of blobs are over when.
    static let blobLeases = IndexTable("blob-leases", .ordered)
    /// Id of a bucket, an account or the store → what it has.
    static let usage = IndexTable("usage", .small)
    /// Id of a bucket or an account → what it may have.
    static let quotas = IndexTable("quotas", .small)
    /// Account id ‖ bucket id ‖ day → what came of the bucket on that day. Of days without a
    /// change there are none.
    static let meteredDays = IndexTable("metered-days", .ordered)
    /// The same key → what was delivered and asked for on that day.
    static let traffic = IndexTable("traffic", .ordered)
    /// Day ‖ account id ‖ bucket id → name of a bucket that was deleted on that day.
    static let removedBuckets = IndexTable("removed-buckets", .ordered)
    /// Root of a tree ‖ bucket id → the bucket's part in the tree.
    static let sharers = IndexTable("sharers", .ordered)
    /// Bucket id → account and number; number → bucket id.
    static let owners = IndexTable("owners", .small)
    /// Chunk id → empty: chunks whose last reference went, for the sweep. One that is referred to
    /// again may still be listed.
    static let garbage = IndexTable("garbage", .ordered)
    /// Chunk id → empty: chunks whose record is known to be damaged.
    static let damage = IndexTable("damage", .ordered)
    /// Segment number → bytes of its records that rows of the chunk table name.
    static let segmentUsage = IndexTable("segment-usage", .small)
    /// Bucket id → the bucket's row, of a bucket whose contents are still to be deleted.
    static let deletedBuckets = IndexTable("deleted-buckets", .small)
    /// Account id ‖ kind ‖ hash of a customer key's id → key slot of a deduplication domain.
    static let domains = IndexTable("domains", .small)

    static let all = [
        meta, accounts, bucketNames, buckets, keys, chunks, links, smallBlobs, objects,
        objectReferences, objectVersions, nullVersions, objectLocks, events, eventHeads,
        lifecycleKeys,
        lifecycleDue,
        bucketSettings, references,
        uploads,
        uploadExpiry, multipartUploads, multipartContents, parts, multipartExpiry, blobLeases,
        usage, quotas, meteredDays, traffic, removedBuckets, sharers, owners, garbage,
        damage, segmentUsage, deletedBuckets, domains,
    ]
}
