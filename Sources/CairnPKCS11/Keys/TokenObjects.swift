// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys

/// The attributes of the objects that Cairn has on a token. On the token: never change.
enum TokenObjects {
    /// What the records about keys say in `CKA_APPLICATION`.
    private static let keyApplication = "cairn key"
    /// What the records of aliases say in `CKA_APPLICATION`.
    private static let aliasApplication = "cairn alias"

    /// All records about keys, or those of one.
    static func keyRecords(of id: Octets16? = nil) -> Template {
        records(keyApplication, label: id?.uuidText)
    }

    /// All records of aliases, or those of one.
    static func aliasRecords(of alias: String? = nil) -> Template {
        records(aliasApplication, label: alias)
    }

    /// A record that is to be stored.
    static func new(_ record: TokenRecord) -> Template {
        let found =
            record.kind == .alias
            ? aliasRecords(of: record.text) : keyRecords(of: record.keyID)
        return found.adding(CKA_VALUE, record.encoded).adding(CKA_MODIFIABLE, false)
    }

    /// All versions of a key's material.
    static func materials(of id: Octets16) -> Template {
        // A key that could leave the token is not one of ours, whatever its name says.
        Template()
            .adding(CKA_CLASS, CKO_SECRET_KEY).adding(CKA_KEY_TYPE, CKK_AES)
            .adding(CKA_TOKEN, true).adding(CKA_PRIVATE, true)
            .adding(CKA_SENSITIVE, true).adding(CKA_EXTRACTABLE, false)
            .adding(CKA_LABEL, "cairn key \(id.uuidText)")
    }

    /// One version of a key's material.
    static func material(of id: Octets16, version: UInt32) -> Template {
        materials(of: id).adding(CKA_ID, materialID(id, version))
    }

    /// Material that is to be generated. It is good for encryption and for nothing else.
    static func newMaterial(of id: Octets16, version: UInt32) -> Template {
        material(of: id, version: version)
            .adding(CKA_VALUE_LEN, CK_ULONG(AES256GCM.keyByteCount))
            .adding(CKA_ENCRYPT, true).adding(CKA_DECRYPT, true)
            .adding(CKA_WRAP, false).adding(CKA_UNWRAP, false)
            .adding(CKA_SIGN, false).adding(CKA_VERIFY, false)
            .adding(CKA_DERIVE, false).adding(CKA_MODIFIABLE, false)
    }

    /// The version that the id of a material names; nil when it is none of this key.
    static func version(_ materialID: [UInt8], of id: Octets16) -> UInt32? {
        guard materialID.count == Octets16.byteCount + 4, materialID.starts(with: id.bytes) else {
            return nil
        }
        return materialID.dropFirst(Octets16.byteCount).reduce(0) { $0 << 8 | UInt32($1) }
    }

    // MARK: -

    private static func records(_ application: String, label: String?) -> Template {
        let template = Template()
            .adding(CKA_CLASS, CKO_DATA).adding(CKA_TOKEN, true).adding(CKA_PRIVATE, true)
            .adding(CKA_APPLICATION, application)
        return label.map { template.adding(CKA_LABEL, $0) } ?? template
    }

    // The version with its highest byte first: tools that list a token then sort it.
    private static func materialID(_ id: Octets16, _ version: UInt32) -> [UInt8] {
        id.bytes
            + stride(from: 24, through: 0, by: -8).map {
                UInt8(truncatingIfNeeded: version >> UInt32($0))
            }
    }
}
