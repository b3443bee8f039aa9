// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import Foundation

@testable import CairnPKCS11

/// SoftHSM with functions that fail, count and wait as a test wants it.
///
/// One at a time, as the functions are C's and know only what is global.
final class FaultyLibrary: @unchecked Sendable {
    // Unchecked: the list is written before anybody else sees it.
    let library: Library

    struct State {
        /// Answers to give in place of a call, for each function, the next one first.
        var failures: [String: [CK_RV]] = [:]
        var callCounts: [String: Int] = [:]
        var runningCount = 0
        var runningCountMax = 0
    }

    private static let state = Monitor(State())
    private static let original = Monitor<CK_FUNCTION_LIST?>(nil)
    private static let gate = NSCondition()
    nonisolated(unsafe) private static var isGateOpen = true

    init() throws {
        let original = try Library.load(SoftHSM.libraryPath).functions.pointee
        Self.original.withLock { $0 = original }
        Self.state.withLock { $0 = State() }
        let list = UnsafeMutablePointer<CK_FUNCTION_LIST>.allocate(capacity: 1)
        list.initialize(to: original)
        list.pointee.C_Login = { session, user, pin, count in
            FaultyLibrary.call("C_Login") { $0.C_Login(session, user, pin, count) }
        }
        list.pointee.C_FindObjectsInit = { session, template, count in
            FaultyLibrary.call("C_FindObjectsInit") {
                $0.C_FindObjectsInit(session, template, count)
            }
        }
        list.pointee.C_GenerateRandom = { session, bytes, count in
            FaultyLibrary.call("C_GenerateRandom") { $0.C_GenerateRandom(session, bytes, count) }
        }
        list.pointee.C_Encrypt = { session, plain, plainCount, sealed, sealedCount in
            FaultyLibrary.call("C_Encrypt") {
                $0.C_Encrypt(session, plain, plainCount, sealed, sealedCount)
            }
        }
        list.pointee.C_Decrypt = { session, sealed, sealedCount, plain, plainCount in
            FaultyLibrary.call("C_Decrypt") {
                $0.C_Decrypt(session, sealed, sealedCount, plain, plainCount)
            }
        }
        list.pointee.C_GenerateKey = { session, mechanism, template, count, key in
            FaultyLibrary.call("C_GenerateKey") {
                $0.C_GenerateKey(session, mechanism, template, count, key)
            }
        }
        list.pointee.C_CreateObject = { session, template, count, object in
            FaultyLibrary.call("C_CreateObject") {
                $0.C_CreateObject(session, template, count, object)
            }
        }
        list.pointee.C_Finalize = { reserved in
            FaultyLibrary.call("C_Finalize") { $0.C_Finalize(reserved) }
        }
        // Never freed: the process remembers each library it has used.
        library = Library(list, path: SoftHSM.libraryPath)
    }

    /// Lets the next calls of a function fail.
    func fail(_ function: String, with values: CK_RV...) {
        Self.state.withLock { $0.failures[function, default: []] += values }
    }

    func callCount(_ function: String) -> Int {
        Self.state.withLock { $0.callCounts[function] ?? 0 }
    }

    /// The most calls that were ever under way at once.
    var runningCountMax: Int { Self.state.withLock { $0.runningCountMax } }

    /// Closes the sessions of all tokens, as a library may do whose connection broke.
    func closeAllSessions() {
        var slots = [CK_SLOT_ID](repeating: 0, count: 16)
        var count = CK_ULONG(slots.count)
        guard let original = Self.original.withLock({ $0 }),
            original.C_GetSlotList(1, &slots, &count) == CKR_OK
        else { return }
        for slot in slots.prefix(Int(count)) { _ = original.C_CloseAllSessions(slot) }
    }

    /// Lets calls of `C_GenerateRandom` wait, or go on.
    func setGate(isOpen: Bool) {
        Self.gate.withLock {
            Self.isGateOpen = isOpen
            Self.gate.broadcast()
        }
    }

    private static func call(
        _ function: String, _ body: (CK_FUNCTION_LIST) -> CK_RV
    ) -> CK_RV {
        let failure: CK_RV? = state.withLock { state in
            state.callCounts[function, default: 0] += 1
            state.runningCount += 1
            state.runningCountMax = max(state.runningCountMax, state.runningCount)
            guard state.failures[function]?.isEmpty == false else { return nil }
            return state.failures[function]?.removeFirst()
        }
        defer { state.withLock { $0.runningCount -= 1 } }
        guard let original = original.withLock({ $0 }) else { return CKR_FUNCTION_FAILED }
        if let failure {
            // A failure ends the operation too (PKCS#11 2.40, 5.8 and 5.9).
            if ["C_Encrypt", "C_Decrypt"].contains(function) { _ = body(original) }
            return failure
        }
        if function == "C_GenerateRandom" {
            gate.withLock { while !isGateOpen { gate.wait() } }
        }
        return body(original)
    }
}
