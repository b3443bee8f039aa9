// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore

extension LocalAccess {
    /// Answers a call on quotas, usage and bills.
    public func perform(_ request: UsageRequest) async throws(AdminError) -> UsageAnswer {
        do throws(StoreError) { return try await answer(request) } catch {
            throw AdminError(error)
        }
    }

    private func answer(_ request: UsageRequest) async throws(StoreError) -> UsageAnswer {
        let account = store.defaultAccount
        switch request {
        case .quota(let name?, let quota):
            let bucket = try await bucket(named: name)
            if let quota { try await bucket.setQuota(Quota(quota)) }
            return .quota(QuotaInfo(try await bucket.quota()))
        case .quota(nil, let quota):
            if let quota { try await account.setQuota(Quota(quota)) }
            return .quota(QuotaInfo(try await account.quota()))
        case .quotas(let after, let limit):
            return .quotas(try await quotas(after: after, limit: limit))
        case .charging(let wanted):
            if let wanted { try await account.setCharging(try ChargingMode(checking: wanted)) }
            return .charging(try await account.charging().name)
        case .usage(let name?):
            return .usage(UsageInfo(try await bucket(named: name).usage(), of: name))
        case .usage(nil): return .usage(UsageInfo(try await account.usage(), of: nil))
        case .usages(let after, let limit):
            return .usages(
                try await account.bucketUsages(after: after, limit: limit).map {
                    var info = UsageInfo($0.usage, of: $0.name)
                    let traffic = $0.trafficToday
                    info.transferredBytesToday = TransferClass.allCases.reduce(0) {
                        $0 &+ traffic[$1]
                    }
                    info.requestsToday = RequestKind.allCases.reduce(0) { $0 &+ traffic[$1] }
                    return info
                })
        case .garbage:
            return .garbage(
                try await account.garbage().sorted { $0.key < $1.key }.map {
                    GarbageInfo(bucket: $0.key, garbageBytes: $0.value)
                })
        case .allowances(let wanted):
            if let wanted { try await set(wanted, of: account) }
            return .allowances(
                try await account.allowanceStatus().map { AllowanceInfo($0) })
        case .visibility(let name, let isPublic):
            let bucket = try await bucket(named: name)
            if let isPublic { try await bucket.setPublic(isPublic) }
            return .visibility(isPublic: try await bucket.isPublic())
        case .store: return .store(StoreUsageInfo(try await store.usage()))
        case .bill(let text, let bucket, let includesDays):
            guard let month = CalendarMonth(text) else {
                throw StoreError(.invalidArgument, "a month is YYYY-MM, not \(text)")
            }
            return .bill(
                BillInfo(
                    try await account.bill(month), bucket: bucket, includesDays: includesDays))
        }
    }

    private func set(
        _ wanted: [AllowanceInfo], of account: Account
    ) async throws(StoreError) {
        var allowances = try await account.allowances()
        for info in wanted {
            guard let kind = Allowances.Kind.allCases.first(where: { $0.name == info.kind }) else {
                throw StoreError(.invalidArgument, "there is no allowance for \(info.kind)")
            }
            guard let bytes = info.bytes else {
                allowances[kind] = nil
                continue
            }
            let action = Allowances.Action.allCases.first { $0.name == info.action ?? "warn" }
            guard let action else {
                throw StoreError(.invalidArgument, "an action is allow, warn or deny")
            }
            allowances[kind] = Allowances.Allowance(bytes, action)
        }
        try await account.setAllowances(allowances)
    }

    private func quotas(
        after: String?, limit: Int
    ) async throws(StoreError) -> QuotaListing {
        let usages = try await store.defaultAccount.bucketUsages(after: after, limit: limit)
        var listing = QuotaListing(quotas: [])
        for entry in usages {
            do throws(StoreError) {
                let quota = try await bucket(named: entry.name).quota()
                guard quota != .unlimited else { continue }
                listing.quotas.append(
                    QuotaListing.Entry(
                        bucket: entry.name, quota: QuotaInfo(quota),
                        usedBytes: entry.usage.chargedByteCount &+ entry.usage.inFlightByteCount))
            } catch {
                // Deleted in between.
                guard error.code == .bucketUnknown else { throw error }
            }
        }
        if usages.count == limit { listing.next = usages.last?.name }
        return listing
    }
}

extension ChargingMode {
    fileprivate init(checking text: String) throws(StoreError) {
        guard let mode = Self.allCases.first(where: { $0.name == text }) else {
            throw StoreError(
                .invalidArgument, "charging is logical, unique or fairShare, not \(text)")
        }
        self = mode
    }
}

extension Quota {
    fileprivate init(_ info: QuotaInfo) {
        self.init(
            byteCount: info.bytes, blobCount: info.blobs, objectCount: info.objects,
            blobByteCount: info.blobBytes, uploadCount: info.uploads,
            warningPercent: info.warningPercent)
    }
}

extension QuotaInfo {
    fileprivate init(_ quota: Quota) {
        bytes = quota.byteCount
        blobs = quota.blobCount
        objects = quota.objectCount
        blobBytes = quota.blobByteCount
        uploads = quota.uploadCount
        warningPercent = quota.warningPercent
    }
}

extension UsageInfo {
    fileprivate init(_ usage: Usage, of bucket: String?) {
        self.bucket = bucket
        logicalBytes = usage.logicalByteCount
        uniqueBytes = usage.uniqueByteCount
        sharedBytes = usage.sharedByteCount
        fairShareBytes = usage.fairShareByteCount
        ownedBytes = usage.ownedByteCount
        chargedBytes = usage.chargedByteCount
        inFlightBytes = usage.inFlightByteCount
        storedBytes = usage.storedByteCount
        uncompressedBytes = usage.uncompressedByteCount
        compressionFactor = usage.compressionFactor
        // JSON has no infinity.
        deduplicationFactor =
            usage.deduplicationFactor.isFinite ? usage.deduplicationFactor : nil
        blobs = usage.blobCount
        objects = usage.objectCount
        olderVersions = usage.olderVersionCount
        uploads = usage.uploadCount
    }
}

extension AllowanceInfo {
    fileprivate init(_ status: AllowanceStatus) {
        self.init(
            kind: status.kind.name, bytes: status.allowance.amount,
            action: status.allowance.action.name)
        usedBytes = status.usedAmount
        isExceeded = status.isExceeded
    }
}

extension Traffic {
    fileprivate var transferredBytes: [String: UInt64] {
        Dictionary(
            uniqueKeysWithValues: TransferClass.allCases.map { ($0.name, self[$0]) })
    }

    fileprivate var requests: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: RequestKind.allCases.map { ($0.name, self[$0]) })
    }
}

extension StoreUsageInfo {
    fileprivate init(_ usage: StoreUsage) {
        storedBytes = usage.total.storedByteCount
        segmentOverheadBytes = usage.segmentOverheadByteCount
        indexBytes = usage.indexByteCount
        catalogueBytes = usage.catalogueByteCount
        auditBytes = usage.auditByteCount
        otherBytes = usage.otherByteCount
        fileBytes = usage.fileByteCount
    }
}

extension ByteTimeInfo {
    fileprivate init(_ time: ByteTime, in month: CalendarMonth) {
        byteSeconds = "\(time.byteSeconds)"
        byteNanoseconds = "\(time.byteNanoseconds)"
        gigabyteMonths = time.gigabyteMonths(of: month)
    }
}

extension BillInfo {
    fileprivate init(_ bill: Bill, bucket: String?, includesDays: Bool) {
        let month = bill.month
        let chosen = bill.buckets.filter { bucket == nil || $0.name == bucket }
        let traffic = chosen.reduce(Traffic()) { $0 + $1.traffic }
        self.init(
            month: month.description, end: bill.end.description, isFinal: bill.isFinal,
            charging: bill.charging.name,
            total: ByteTimeInfo(ByteTime(of: chosen.map(\.total)), in: month),
            transferredBytes: traffic.transferredBytes, requests: traffic.requests,
            buckets: chosen.map { bucket in
                Bucket(
                    bucket: bucket.name, id: bucket.id,
                    total: ByteTimeInfo(bucket.total, in: month),
                    transferredBytes: bucket.traffic.transferredBytes,
                    requests: bucket.traffic.requests,
                    days: includesDays
                        ? bucket.days.map { Day($0, in: month) } : nil)
            })
    }
}

extension BillInfo.Day {
    fileprivate init(_ day: DayBill, in month: CalendarMonth) {
        date = month.description + (day.day < 10 ? "-0" : "-") + "\(day.day)"
        startBytes = day.startByteCount
        endBytes = day.endByteCount
        total = ByteTimeInfo(day.total, in: month)
        transferredBytes = day.traffic.transferredBytes
        requests = day.traffic.requests
    }
}
