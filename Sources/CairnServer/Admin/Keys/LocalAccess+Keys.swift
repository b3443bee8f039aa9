// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnKeys

extension LocalAccess {
    /// Answers a call on the key service, the keys of a bucket or the audit log.
    public func perform(_ request: KeyRequest) async throws(AdminError) -> KeyAnswer {
        do throws(StoreError) {
            return try await answer(request)
        } catch {
            throw AdminError(error)
        }
    }

    private func answer(_ request: KeyRequest) async throws(StoreError) -> KeyAnswer {
        switch request {
        case .setEncryption(let bucket, let key, let usesStoreKey, let deduplication):
            let bucket = try await store.defaultAccount.bucket(bucket)
            let configuration = try BucketConfiguration(key: key, deduplication: deduplication)
            let keepsKey = key == nil && !usesStoreKey
            try await bucket.setEncryption(
                keepsKey ? bucket.describe().encryption : configuration.encryption,
                deduplication: deduplication == nil ? nil : configuration.deduplication)
            return .bucket(try await describe(bucket.name))
        case .rotateDataKey(let bucket):
            try await store.defaultAccount.bucket(bucket).rotateDataKey()
            return .bucket(try await describe(bucket))
        case .rewrap(let bucket, let key): return .rewrapped(try await rewrap(bucket, key))
        case .shred(let bucket):
            return .shredded(ShredInfo(try await store.defaultAccount.shredBucket(bucket)))
        case .purge:
            return .purged(isComplete: try await store.purgeDeletedKeys())
        case .auditEntries(let after, let limit):
            let entries = try await store.auditEntries(after: after, limit: limit)
            return .entries(entries.map { AuditEntryInfo($0) })
        case .verifyAudit(let text):
            let head = try text.map { (text) throws(StoreError) -> AuditHead in
                guard let head = AuditHead(text) else {
                    throw StoreError(
                        .invalidArgument, "an end of the audit log is NUMBER:CODE, not \(text)")
                }
                return head
            }
            return .audit(AuditInfo(try await store.verifyAudit(containing: head)))
        default: return try await answer(request, keyService)
        }
    }

    private var keyService: KeyService {
        get throws(StoreError) {
            guard let keys = store.keyService else {
                throw StoreError(.keyUnavailable, "the keys of this store are governed elsewhere")
            }
            return keys
        }
    }

    private func describe(_ bucket: String) async throws(StoreError) -> BucketInfo {
        BucketInfo(try await store.defaultAccount.bucket(bucket).describe())
    }

    private func rewrap(
        _ bucket: String?, _ key: String?
    ) async throws(StoreError) -> RewrapInfo {
        if let bucket {
            let count = try await store.defaultAccount.bucket(bucket).rewrap()
            return RewrapInfo(
                bucketCount: 1, rewrappedCount: UInt64(count), unavailableBucketCount: 0)
        }
        let reference = try key.map { (key) throws(StoreError) in try KeyReference(checking: key) }
        return RewrapInfo(try await store.rewrapKeys(under: reference))
    }

    // MARK: - The key service

    private func answer(
        _ request: KeyRequest, _ keys: KeyService
    ) async throws(StoreError) -> KeyAnswer {
        switch request {
        case .create(let alias, let description, let tags):
            let key = try await keys.createKey(
                alias: alias, description: description, tags: tags)
            return .key(KeyInfo(key, nil))
        case .list(let after, let limit):
            let after = try after.map { (id) throws(StoreError) in
                try KeyReference(checking: id)
            }
            let last = if let after { try await keys.describe(after).id } else { KeyID?.none }
            var infos: [KeyInfo] = []
            for key in try await keys.keys(after: last, limit: limit) {
                infos.append(try await info(key, keys))
            }
            return .keys(infos)
        case .describe(let key):
            return .key(try await info(keys.describe(KeyReference(checking: key)), keys))
        case .change(let key, let change):
            let key = try KeyReference(checking: key)
            let id = try await keys.describe(key).id
            try await apply(change, to: key, keys)
            return .key(try await info(keys.describe(KeyReference(id)), keys))
        case .deleteAlias(let alias):
            try await keys.deleteAlias(alias)
            return .done
        case .versions(let key):
            let versions = try await keys.versions(of: KeyReference(checking: key))
            return .versions(
                zip(1..., versions).map { number, version in
                    KeyVersionInfo(
                        version: number, createdAt: version.createdAt.description,
                        origin: "\(version.origin)")
                })
        case .grants(let key):
            let grants = try await keys.grants(of: KeyReference(checking: key))
            return .grants(grants.map { GrantInfo($0) })
        case .createGrant(let key, let grant):
            return .grant(
                GrantInfo(
                    try await keys.createGrant(
                        of: KeyReference(checking: key), to: grant.principal,
                        operations: grant.checkedOperations(),
                        constraint: grant.constraint(),
                        retiringPrincipal: grant.retiringPrincipal, name: grant.name)))
        default:
            // Those that need no key service were answered before.
            throw StoreError(.invalidArgument, "the key service has no such call")
        }
    }

    private func info(
        _ key: KeyDescription, _ keys: KeyService
    ) async throws(StoreError) -> KeyInfo {
        KeyInfo(key, try await keys.lastUse(of: KeyReference(key.id)))
    }

    private func apply(
        _ change: KeyChange, to key: KeyReference, _ keys: KeyService
    ) async throws(StoreError) {
        switch change {
        case .enable: try await keys.enable(key)
        case .disable: try await keys.disable(key)
        case .rotate: try await keys.rotate(key)
        case .rotation(let periodDays?):
            try await keys.enableRotation(of: key, periodDays: periodDays)
        case .rotation(nil): try await keys.disableRotation(of: key)
        case .scheduleDeletion(let days):
            try await keys.scheduleDeletion(of: key, afterDays: days)
        case .cancelDeletion: try await keys.cancelDeletion(of: key)
        case .createAlias(let alias): try await keys.createAlias(alias, for: key)
        case .updateAlias(let alias): try await keys.updateAlias(alias, to: key)
        case .description(let text): try await keys.setDescription(text, of: key)
        case .tag(let tags): try await keys.tag(key, with: tags)
        case .untag(let names): try await keys.untag(key, names)
        case .revokeGrant(let id): try await keys.revokeGrant(id, of: key)
        }
    }
}

// MARK: - From text

extension KeyReference {
    fileprivate init(checking text: String) throws(StoreError) {
        do throws(KeyError) { try self.init(text) } catch {
            throw StoreError(.invalidArgument, error.message, cause: error)
        }
    }
}

extension BucketConfiguration {
    /// - Parameters:
    ///   - key: an id or alias; nil is the store's own key.
    ///   - deduplication: `key`, `account` or `bucket`; nil is the default.
    init(key: String?, deduplication: String?) throws(StoreError) {
        self.init()
        if let key { encryption = .customerKey(try KeyReference(checking: key)) }
        guard let deduplication else { return }
        let known = Deduplication.allCases.first { $0.name == deduplication }
        guard let known else {
            throw StoreError(
                .invalidArgument,
                "deduplication is \(Deduplication.allCases.map(\.name).joined(separator: ", "))")
        }
        self.deduplication = known
    }
}

extension GrantRequest {
    fileprivate func checkedOperations() throws(StoreError) -> Set<KeyOperation> {
        var result: Set<KeyOperation> = []
        for name in operations {
            guard let operation = KeyOperation.allCases.first(where: { $0.kmsName == name }) else {
                let names = KeyOperation.allCases.map(\.kmsName).joined(separator: ", ")
                throw StoreError(.invalidArgument, "an operation is one of \(names)")
            }
            result.insert(operation)
        }
        return result
    }

    fileprivate func constraint() throws(StoreError) -> KeyGrant.Constraint {
        guard isExact || !context.isEmpty else { return .none }
        do throws(KeyError) {
            let context = try EncryptionContext(context)
            return isExact ? .contextEquals(context) : .contextSubset(context)
        } catch {
            throw StoreError(.invalidArgument, error.message, cause: error)
        }
    }
}

// MARK: - From the store's values

extension KeyOperation {
    /// As AWS KMS writes it.
    fileprivate var kmsName: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
}

extension KeyInfo {
    fileprivate init(_ key: KeyDescription, _ use: KeyUse?) {
        self.init(
            id: key.id.text, aliases: key.aliases, state: key.state.description,
            description: key.description, tags: key.tags, createdAt: key.createdAt.description,
            versionCount: key.currentVersion, deletionDate: key.deletionDate?.description,
            rotationPeriodDays: key.rotationPeriodDays,
            nextRotationDate: key.nextRotationDate?.description, lastUse: use?.operation,
            lastUsedAt: use?.time.description)
    }
}

extension GrantInfo {
    fileprivate init(_ grant: KeyGrant) {
        let (context, isExact) =
            switch grant.constraint {
            case .none: (EncryptionContext(), false)
            case .contextEquals(let context): (context, true)
            case .contextSubset(let context): (context, false)
            }
        self.init(
            id: grant.id, name: grant.name, principal: grant.granteePrincipal,
            retiringPrincipal: grant.retiringPrincipal,
            operations: grant.operations.map(\.kmsName).sorted(),
            context: Dictionary(
                context.pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first }),
            isExact: isExact, createdAt: grant.createdAt.description)
    }
}

extension RewrapInfo {
    fileprivate init(_ report: RewrapReport) {
        self.init(
            bucketCount: report.bucketCount, rewrappedCount: report.rewrappedCount,
            unavailableBucketCount: report.unavailableBucketCount)
    }
}

extension ShredInfo {
    fileprivate init(_ receipt: ShredReceipt) {
        self.init(
            bucket: receipt.bucket, bucketID: receipt.bucketID,
            customerKey: receipt.customerKey?.text, generationCount: receipt.generationCount,
            keyCount: receipt.keyCount, blobCount: receipt.blobCount,
            logicalByteCount: receipt.logicalByteCount, time: receipt.time.description,
            isPurged: receipt.isPurged, olderIndexes: receipt.olderIndexes,
            auditHead: receipt.auditHead.description)
    }
}

extension AuditEntryInfo {
    fileprivate init(_ entry: AuditEntry) {
        func text(_ text: String) -> String? { text.isEmpty ? nil : text }
        self.init(
            sequence: entry.sequence, time: entry.time.description, action: entry.action,
            key: text(entry.key), principal: text(entry.principal),
            context: entry.context.pairs.isEmpty ? nil : entry.context.description,
            detail: text(entry.detail), outcome: entry.outcome)
    }
}

extension AuditInfo {
    fileprivate init(_ report: AuditReport) {
        self.init(
            isSound: report.isSound, entryCount: report.entryCount,
            firstSequence: report.firstSequence, head: report.head.description,
            problems: report.problems)
    }
}
