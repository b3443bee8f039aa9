// Part of Cairn, a content-addressed blob store.

/// What deleting a bucket does when the bucket holds something.
public enum BucketContents: Hashable, Sendable {
    /// The bucket stays, and the call throws `bucketNotEmpty`.
    case mustBeEmpty
    /// Everything in it goes with it.
    case delete
}
