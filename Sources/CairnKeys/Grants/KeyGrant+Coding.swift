// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// grants := grantCount:u16 grant{grantCount}                    (in the order of their creation)
// grant  := id[16] createdAt:i64 operations:u16 constraint:u8 name:text grantee:text
//           retiring:text contextByteCount:u16 context[contextByteCount]
//
// A name or retiring principal of no bytes is none; a constraint of kind 0 has no context.

extension KeyGrant {
    private static let fixedByteCount = 16 + 8 + 2 + 1 + 4 * 2

    /// On disk: never renumber.
    private static let constraintCodes: (none: UInt8, equals: UInt8, subset: UInt8) = (0, 1, 2)

    /// The bytes of the grant in its key's record.
    var encodedByteCount: Int {
        Self.fixedByteCount + (name?.utf8.count ?? 0) + granteePrincipal.utf8.count
            + (retiringPrincipal?.utf8.count ?? 0) + constraint.contextBytes.count
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(uuid)
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.append(operations.reduce(0) { $0 | $1.bit })
        writer.append(constraintCode)
        writer.appendText(name ?? "")
        writer.appendText(granteePrincipal)
        writer.appendText(retiringPrincipal ?? "")
        writer.append(UInt16(constraint.contextBytes.count))
        writer.append(constraint.contextBytes)
    }

    private var constraintCode: UInt8 {
        switch constraint {
        case .none: Self.constraintCodes.none
        case .contextEquals: Self.constraintCodes.equals
        case .contextSubset: Self.constraintCodes.subset
        }
    }

    init(decoding reader: inout ByteReader) throws(CoreError) {
        let uuid = try reader.readOctets16()
        let createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let operations = try Self.operations(try reader.readUInt16())
        let constraintCode = try reader.readUInt8()
        let name = try reader.readText(byteCounts: 0...Self.nameByteCountMax)
        let grantee = try reader.readText(byteCounts: 1...Self.principalByteCountMax)
        let retiring = try reader.readText(byteCounts: 0...Self.principalByteCountMax)
        let constraint = try Self.constraint(constraintCode, &reader)
        do throws(KeyError) {
            try self.init(
                uuid: uuid, name: name.isEmpty ? nil : name, granteePrincipal: grantee,
                retiringPrincipal: retiring.isEmpty ? nil : retiring, operations: operations,
                constraint: constraint, createdAt: createdAt)
        } catch {
            throw CoreError(.corrupted, error.message)
        }
    }

    private static func operations(_ bits: UInt16) throws(CoreError) -> Set<KeyOperation> {
        let operations = KeyOperation.allCases.filter { bits & $0.bit != 0 }
        guard operations.reduce(0, { $0 | $1.bit }) == bits else {
            throw CoreError(.unsupportedVersion, "operations \(bits) of a grant")
        }
        return Set(operations)
    }

    private static func constraint(
        _ code: UInt8, _ reader: inout ByteReader
    ) throws(CoreError) -> Constraint {
        let byteCount = Int(try reader.readUInt16())
        guard byteCount <= EncryptionContext.encodedByteCountMax else {
            throw CoreError(.limitExceeded, "a constraint of \(byteCount) bytes")
        }
        let bytes = [UInt8](copying: try reader.readBytes(byteCount))
        switch code {
        case constraintCodes.none:
            guard bytes.isEmpty else {
                throw CoreError(.corrupted, "a context where no constraint is")
            }
            return .none
        case constraintCodes.equals: return .contextEquals(try context(bytes))
        case constraintCodes.subset: return .contextSubset(try context(bytes))
        default: throw CoreError(.unsupportedVersion, "constraint \(code) of a grant")
        }
    }

    private static func context(_ bytes: [UInt8]) throws(CoreError) -> EncryptionContext {
        do throws(KeyError) {
            return try EncryptionContext(decoding: bytes)
        } catch {
            throw CoreError(.corrupted, error.message)
        }
    }
}

extension KeyGrant.Constraint {
    fileprivate var contextBytes: [UInt8] {
        switch self {
        case .none: []
        case .contextEquals(let context), .contextSubset(let context): context.encoded
        }
    }
}

extension KeyOperation {
    /// On disk: never renumber.
    fileprivate var bit: UInt16 {
        switch self {
        case .encrypt: 1 << 0
        case .decrypt: 1 << 1
        case .generateDataKey: 1 << 2
        case .generateDataKeyWithoutPlaintext: 1 << 3
        case .reEncryptFrom: 1 << 4
        case .reEncryptTo: 1 << 5
        case .describeKey: 1 << 6
        case .retireGrant: 1 << 7
        }
    }
}
