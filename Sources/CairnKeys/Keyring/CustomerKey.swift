// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// A customer key: a name that stays, and material that is only ever added to.
struct CustomerKey: Sendable {
    /// The most versions of material: monthly rotation for eighty years.
    static let materialCountMax = 1000
    /// One AES-256 key in each version.
    static let materialByteCount = 32

    /// What may be done with the key; `pendingDeletion` until when.
    enum State: Hashable, Sendable {
        case enabled, disabled
        case pendingDeletion(until: Timestamp)
    }

    /// New material after each period.
    struct AutomaticRotation: Hashable, Sendable {
        var periodDays: UInt16
        /// When the period that is running began.
        var since: Timestamp

        var isDueAt: Timestamp { since + .seconds(Int64(periodDays) * secondsPerDay) }
    }

    static let secondsPerDay: Int64 = 86_400
    /// As AWS KMS allows, `RotateKeyOnDemand`.
    static let rotationOnDemandCountMax = 25
    /// Each call under a grant looks at all of its key's.
    static let grantCountMax = 1000
    /// Half of what a record holds, so that a key with the most of everything else fits as well.
    static let grantsByteCountMax = 2 << 20

    let id: Octets16
    let createdAt: Timestamp
    var state: State
    var rotation: AutomaticRotation?
    /// When and why each version was made, version 1 first; never empty.
    private(set) var versions: [KeyVersion]
    /// All versions end to end: a secret takes whole pages, so one for each key and not for each
    /// version.
    private(set) var materials: SecretBytes
    var labels = KeyLabels()
    /// In the order of their creation.
    var grants: [KeyGrant] = []

    init(
        id: Octets16, createdAt: Timestamp, state: State = .enabled,
        rotation: AutomaticRotation? = nil, versions: [KeyVersion], materials: SecretBytes
    ) {
        assert(!versions.isEmpty)
        assert(materials.byteCount == versions.count * Self.materialByteCount)
        self.id = id
        self.createdAt = createdAt
        self.state = state
        self.rotation = rotation
        self.versions = versions
        self.materials = materials
    }

    /// A new key with random material.
    init(createdAt: Timestamp, random: any RandomSource) {
        self.init(
            id: .randomUUID(from: random), createdAt: createdAt,
            versions: [KeyVersion(createdAt: createdAt, origin: .creation)],
            materials: .random(byteCount: Self.materialByteCount, from: random))
    }

    var keyID: KeyID { KeyID(uuid: id) }

    /// When the key will be destroyed, if it will.
    var deletionDate: Timestamp? {
        if case .pendingDeletion(let date) = state { date } else { nil }
    }

    /// The version that wraps from now on; each wrapped key names its own.
    var currentVersion: UInt32 { UInt32(versions.count) }

    func hasMaterial(version: UInt32) -> Bool {
        (1...currentVersion).contains(version)
    }

    /// Lets `body` look at one version.
    ///
    /// - Precondition: ``hasMaterial(version:)``.
    func withMaterial<Result, Failure: Error>(
        version: UInt32, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(hasMaterial(version: version))
        let start = Int(version - 1) * Self.materialByteCount
        return try materials.withSpan { all throws(Failure) in
            try body(all.extracting(start..<start + Self.materialByteCount))
        }
    }

    /// The same key with one more version.
    func adding(_ material: SecretBytes, _ version: KeyVersion) -> Self {
        let byteCount = materials.byteCount + material.byteCount
        let all = SecretBytes(byteCount: byteCount) { out in
            materials.withSpan { out.copy($0) }
            material.withSpan { out.copy($0, to: materials.byteCount) }
        }
        var next = self
        next.versions.append(version)
        next.materials = all
        return next
    }
}
