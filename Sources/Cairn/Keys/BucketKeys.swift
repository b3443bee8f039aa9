// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// The keys of a bucket at hand: what sealing and opening need.
struct BucketKeys: Sendable {
    let bucketID: BucketID
    /// The slot of the current data key, written into the header of every record it seals.
    let dataKeySlot: UInt32
    let dataKey: SecretBytes
    /// Names digests and object keys in the index.
    let names: HMACSHA256
    /// Where new chunks go.
    var domain: OpenDomain
    /// Where blobs of the bucket may lie.
    let domains: [DomainReference]

    func linkName(of digest: Digest) -> LinkName {
        let algorithm: [UInt8] = [digest.algorithm.rawValue]
        return LinkName(octets: names.authenticate(algorithm.span, digest.bytes.span))
    }

    /// Binds a sealed object to its key. No digest algorithm has the number 0, so that the name
    /// of an object never equals that of a link.
    func objectName(of key: String, token: UInt64) -> Octets32 {
        let kind: [UInt8] = [0]
        return names.authenticate(kind.span, RowKey.versionName(key, token: token).span)
    }

    /// How the bucket reaches a domain; nil when it does not.
    func domain(slot: UInt32) -> DomainReference? { domains.last { $0.slot == slot } }
}

/// A deduplication domain whose secret is open.
struct OpenDomain: Sendable {
    /// The key slot of the domain's secret, which its records and capabilities name.
    let slot: UInt32
    let keys: DomainKeys
}
