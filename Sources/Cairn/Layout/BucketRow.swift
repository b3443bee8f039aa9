// Part of Cairn, a content-addressed blob store.
//
// bucket := sealed                               (metadata record, store key, bound to the id)
//   sealed     := accountID[16] name:prefixed createdAt:i64 generation:u32 dataKeySlot:u32
//                 indexKeySlot:u32 domainSlot:u32 encryption?
//   encryption := form:u8(1) deduplication:u8 customerKey:prefixed domainID[16]
//                 formerKeyCount:u16 slot:u32* formerDomainCount:u16 domain*
//   domain     := slot:u32 copySlot:u32 id[16]
//   Without encryption: the store's default key, deduplication by key, the account's domain, and
//   nothing that the bucket has left behind.

internal import CairnCore
internal import CairnKeys

/// A deduplication domain as a bucket reaches it.
struct DomainReference: Hashable, Sendable {
    /// The key slot of the domain's secret, which its records and capabilities name.
    var slot: UInt32
    /// What the domain's keys are derived for.
    var id: Octets16
    /// Where the bucket has a copy of the secret under its own customer key; nil while it is a
    /// member of the domain.
    var copySlot: UInt32?
}

/// What a bucket row says once it is opened.
struct BucketRow: Sendable {
    /// Each costs four bytes of the row, and a wrapped key: rotated every day for three years.
    static let formerKeyCountMax = 1000
    /// Each was a change of the customer key or of the deduplication.
    static let formerDomainCountMax = 100

    var accountID: AccountID
    var name: String
    var createdAt: Timestamp
    var generation: UInt32
    var dataKeySlot: UInt32
    var indexKeySlot: UInt32
    /// Where new chunks go.
    var domain: DomainReference
    /// Wraps all keys of the bucket; nil is the store's default key.
    var customerKey: KeyID?
    var deduplication = Deduplication.key
    /// The data keys of earlier generations, the oldest first: older records need them.
    var formerKeySlots: [UInt32] = []
    /// The domains of earlier configurations, the oldest first: older blobs lie there.
    var formerDomains: [DomainReference] = []

    /// The slots of all keys that belong to the bucket alone.
    func ownSlots(_ id: BucketID) -> [UInt32] {
        let domainSlots = ([domain] + formerDomains).compactMap { domain in
            domain.id == id.octets ? domain.slot : domain.copySlot
        }
        return formerKeySlots + [dataKeySlot, indexKeySlot] + domainSlots
    }

    // The short form says everything of a bucket that nobody configured.
    private var isPlain: Bool {
        customerKey == nil && deduplication == .key && formerKeySlots.isEmpty
            && formerDomains.isEmpty && domain.id == accountID.octets
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128 + name.utf8.count)
        writer.append(accountID.octets)
        writer.appendLengthPrefixed(name)
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.append(generation)
        writer.append(dataKeySlot)
        writer.append(indexKeySlot)
        writer.append(domain.slot)
        guard !isPlain else { return writer.bytes }
        writer.append(Self.form)
        writer.append(deduplication.code)
        writer.appendLengthPrefixed(customerKey?.text ?? "")
        writer.append(domain.id)
        writer.append(UInt16(formerKeySlots.count))
        for slot in formerKeySlots { writer.append(slot) }
        writer.append(UInt16(formerDomains.count))
        for domain in formerDomains {
            writer.append(domain.slot)
            writer.append(domain.copySlot ?? 0)
            writer.append(domain.id)
        }
        return writer.bytes
    }

    init(
        accountID: AccountID, name: String, createdAt: Timestamp, generation: UInt32,
        dataKeySlot: UInt32, indexKeySlot: UInt32, domain: DomainReference,
        customerKey: KeyID? = nil, deduplication: Deduplication = .key
    ) {
        self.accountID = accountID
        self.name = name
        self.createdAt = createdAt
        self.generation = generation
        self.dataKeySlot = dataKeySlot
        self.indexKeySlot = indexKeySlot
        self.domain = domain
        self.customerKey = customerKey
        self.deduplication = deduplication
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        accountID = AccountID(octets: try reader.readOctets16())
        name = try reader.readString(limit: Names.bucketByteCount.upperBound)
        createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        generation = try reader.readUInt32()
        dataKeySlot = try reader.readUInt32()
        indexKeySlot = try reader.readUInt32()
        domain = DomainReference(slot: try reader.readUInt32(), id: accountID.octets)
        guard reader.remainingByteCount > 0 else { return }
        try decodeEncryption(&reader)
        try reader.expectEnd()
    }

    // MARK: -

    private static let form: UInt8 = 1

    private mutating func decodeEncryption(_ reader: inout ByteReader) throws(CoreError) {
        let form = try reader.readUInt8()
        // Sealed, so no accident: a newer Cairn wrote it.
        guard form == Self.form else {
            throw CoreError(.unsupportedVersion, "form \(form) of a bucket")
        }
        let code = try reader.readUInt8()
        guard let deduplication = Deduplication.allCases.first(where: { $0.code == code }) else {
            throw CoreError(.unsupportedVersion, "deduplication \(code) of a bucket")
        }
        self.deduplication = deduplication
        customerKey = try Self.keyID(reader.readString(limit: KeyID.byteCountMax))
        domain.id = try reader.readOctets16()
        for _ in 0..<(try Self.count(&reader, limit: Self.formerKeyCountMax)) {
            formerKeySlots.append(try reader.readUInt32())
        }
        for _ in 0..<(try Self.count(&reader, limit: Self.formerDomainCountMax)) {
            let slot = try reader.readUInt32()
            let copySlot = try reader.readUInt32()
            formerDomains.append(
                DomainReference(
                    slot: slot, id: try reader.readOctets16(),
                    copySlot: copySlot == 0 ? nil : copySlot))
        }
    }

    private static func count(
        _ reader: inout ByteReader, limit: Int
    ) throws(CoreError) -> Int {
        let count = Int(try reader.readUInt16())
        guard count <= limit else {
            throw CoreError(.limitExceeded, "a bucket row lists \(count) of what are \(limit)")
        }
        return count
    }

    private static func keyID(_ text: String) throws(CoreError) -> KeyID? {
        guard !text.isEmpty else { return nil }
        do throws(KeyError) { return try KeyID(text) } catch {
            throw CoreError(.corrupted, error.message)
        }
    }
}

extension Deduplication {
    /// On disk: never renumber.
    fileprivate var code: UInt8 {
        switch self {
        case .key: 1
        case .account: 2
        case .bucket: 3
        }
    }
}
