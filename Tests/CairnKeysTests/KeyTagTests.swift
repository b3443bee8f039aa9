// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

/// What people write on a key.
@Suite struct KeyTagTests {
    private let key: KeyReference

    init() throws { key = try KeyReference("alias/tagged") }

    private func makeKeyring() throws -> Keyring {
        try ProtectionKind.keyFile.makeKeyring().addingKey(alias: key.text)
    }

    private func reopened(_ keyring: Keyring) throws -> Keyring {
        let again = try ProtectionKind.keyFile.open(keyring.encoded())
        #expect(again.keys == keyring.keys)
        return again
    }

    @Test func `a key is made with a description and tags, and keeps them in its file`()
        async throws
    {
        let keyring = try reopened(
            ProtectionKind.keyFile.makeKeyring().addingKey(
                alias: key.text, description: "images of team A",
                tags: ["team": "A", "cost centre": ""]))
        let description = try await keyring.describeKey(key)
        #expect(description.description == "images of team A")
        #expect(description.tags == ["team": "A", "cost centre": ""])
        #expect(try await keyring.describeKey(.default).description == "")
        #expect(try await keyring.describeKey(.default).tags == [:])
    }

    @Test func `a description and tags change, one change of the keyring each`() async throws {
        let start = try makeKeyring()
        let described = try start.describingKey(key, as: "one").describingKey(key, as: "two")
        let tagged = try described.taggingKey(key, with: ["a": "1", "b": "2"])
            .taggingKey(key, with: ["b": "3", "c": ""])
        let untagged = try reopened(tagged).untaggingKey(key, keys: ["a", "never there"])
        #expect(try await reopened(tagged).describeKey(key).tags == ["a": "1", "b": "3", "c": ""])
        #expect(try await reopened(untagged).describeKey(key).tags == ["b": "3", "c": ""])
        #expect(try await untagged.describeKey(key).description == "two")
        #expect(untagged.revision == start.revision + 5)
        let plain = try untagged.untaggingKey(key, keys: ["b", "c"]).describingKey(key, as: "")
        #expect(try reopened(plain).keys == start.keys)
    }

    @Test func `new material and other states leave a description and tags alone`() async throws {
        let keyring = try makeKeyring().decorating(key)
        let before = try await keyring.describeKey(key)
        #expect(before.currentVersion == 1)
        let after = try await reopened(
            keyring.rotatingKey(key).settingRotation(periodDays: 90, of: key)
                .settingKey(key, isEnabled: false)
        ).describeKey(key)
        #expect(after.currentVersion == 2)
        #expect(after.description == before.description)
        #expect(after.tags == before.tags)
    }

    @Test(arguments: [
        "a", "Owner", "\u{dc}ber uns", "\u{6d4b}\u{8bd5}", "\u{2460}", "a b", "_.:/=+-@", "9",
        String(repeating: "\u{10400}", count: 128),
    ])
    func `letters and digits of any script are allowed in a tag`(_ text: String) async throws {
        let keyring = try reopened(makeKeyring().taggingKey(key, with: [text: text + text]))
        #expect(try await keyring.describeKey(key).tags == [text: text + text])
    }

    @Test(arguments: [
        ("", ""), (String(repeating: "k", count: 129), ""),
        ("k", String(repeating: "v", count: 257)),
        ("a\n", ""), ("a", "\t"), ("a,b", ""), ("a", "<"), ("e\u{301}", ""), ("\u{2028}", ""),
        ("a", "\u{0}"), ("\u{1f600}", ""),
        ("cairn:", ""), ("cairn:store", "x"), ("Cairn:store", ""), ("CAIRN:", ""),
    ])
    func `a malformed or reserved tag is refused`(_ name: String, _ value: String) throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.taggingKey(key, with: ["good": "", name: value])
        }
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingKey(alias: nil, tags: [name: value])
        }
    }

    @Test func `each limit is stated and kept`() async throws {
        let text = String(repeating: "\u{e9}", count: 4096)
        let longest = String(repeating: "\u{10400}", count: 256)
        let tags = Dictionary(
            uniqueKeysWithValues: (10..<60).map { ("\($0)" + longest.prefix(126), longest) })
        let keyring = try reopened(
            makeKeyring().describingKey(key, as: text).taggingKey(key, with: tags))
        #expect(try await keyring.describeKey(key).tags == tags)
        #expect(throws: KeyError.with(.limitExceeded)) {
            try keyring.describingKey(key, as: text + "a")
        }
        #expect(throws: KeyError.with(.limitExceeded)) {
            try keyring.addingKey(alias: nil, description: text + "a")
        }
        #expect(throws: KeyError.with(.limitExceeded)) {
            try keyring.taggingKey(key, with: ["more": ""])
        }
        // Another value takes no more room.
        _ = try keyring.taggingKey(key, with: tags.mapValues { _ in "" })
    }

    @Test func `a key that is to be destroyed or does not exist takes no labels`() throws {
        let doomed = try makeKeyring().schedulingDeletion(of: key, afterDays: 7)
        let unknown = try KeyReference("alias/unknown")
        for (reference, code) in [(key, KeyError.Code.keyDisabled), (unknown, .keyNotFound)] {
            #expect(throws: KeyError.with(code)) { try doomed.describingKey(reference, as: "") }
            #expect(throws: KeyError.with(code)) { try doomed.taggingKey(reference, with: [:]) }
            #expect(throws: KeyError.with(code)) { try doomed.untaggingKey(reference, keys: []) }
        }
        let disabled = try makeKeyring().settingKey(key, isEnabled: false)
        _ = try disabled.describingKey(key, as: "off").taggingKey(key, with: ["a": "b"])
    }
}
