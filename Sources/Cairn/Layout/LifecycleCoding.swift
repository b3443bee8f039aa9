// Part of Cairn, a content-addressed blob store.
//
// rules := count:u16 rule*
// rule  := id:prefixed isEnabled:u8 dueRule tagCount:u16 text* noncurrentDays:u32 keptCount:u16
//          uploadDays:u32
//   dueRule: see BucketSettings; text := name:prefixed value:prefixed in the order of the names

internal import CairnCore

/// What a bucket seals of its lifecycle rules.
enum LifecycleCoding {
    static func encode(_ rules: [LifecycleRule]) -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.append(UInt16(rules.count))  // at most ruleCountMax
        for rule in rules {
            writer.appendLengthPrefixed(rule.id)
            writer.append(UInt8(rule.isEnabled ? 1 : 0))
            DueRule(rule).write(to: &writer)
            writer.append(rule.tags)
            writer.append(UInt32(rule.noncurrentExpiration?.days ?? 0))  // at most dayCountMax
            writer.append(UInt16(rule.noncurrentExpiration?.keepingNewest ?? 0))
            writer.append(UInt32(rule.incompleteUploadDays ?? 0))
        }
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(CoreError) -> [LifecycleRule] {
        var reader = ByteReader(bytes.span)
        var rules: [LifecycleRule] = []
        for _ in 0..<(try reader.readUInt16()) {
            let id = try reader.readString(limit: LifecycleRule.idByteCountMax)
            let isEnabled = try reader.readUInt8()
            let due = try DueRule(reading: &reader)
            var rule = LifecycleRule(id, prefix: due.prefix)
            rule.isEnabled = isEnabled == 1
            rule.tags = try reader.readTexts()
            rule.byteCountMin = due.byteCountMin
            rule.byteCountMax = due.byteCountMax
            rule.expiration = due.expiration
            rule.removesExpiredDeleteMarkers = due.removesMarkers
            let older = Int(try reader.readUInt32())
            let keptCount = Int(try reader.readUInt16())
            if older > 0 {
                rule.noncurrentExpiration = NoncurrentExpiration(
                    days: older, keepingNewest: keptCount)
            }
            let upload = Int(try reader.readUInt32())
            rule.incompleteUploadDays = upload > 0 ? upload : nil
            rules.append(rule)
        }
        try reader.expectEnd()
        guard encode(rules) == bytes else {
            throw CoreError(.corrupted, "the lifecycle rules of a bucket contradict themselves")
        }
        return rules
    }
}
