// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnKeys
internal import Glibc

/// The functions of a PKCS#11 library.
///
/// A library stays loaded until the process ends: many leave threads or exit handlers behind, from
/// under which unloading would take the code. Thread-safe once the library is initialised, as that
/// asks it to lock (`CKF_OS_LOCKING_OK`).
@safe struct Library: @unchecked Sendable {
    // Unchecked: the list belongs to the library, which neither changes nor frees it.
    let functions: UnsafeMutablePointer<CK_FUNCTION_LIST>
    /// Where the library was loaded from.
    let path: String

    init(_ functions: UnsafeMutablePointer<CK_FUNCTION_LIST>, path: String) {
        unsafe self.functions = functions
        self.path = path
    }

    /// Loads a library; the same file gives the same functions each time. Runs code of the file.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` when there is no library at the path, or
    ///   one of another kind.
    static func load(_ path: String) throws(KeyError) -> Library {
        guard let handle = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            let reason = unsafe dlerror().map { unsafe String(cString: $0) } ?? "no reason given"
            throw KeyError(.invalidArgument, "cannot load the PKCS#11 library \(path): \(reason)")
        }
        guard let symbol = unsafe dlsym(handle, "C_GetFunctionList") else {
            throw KeyError(
                .invalidArgument, "\(path) is no PKCS#11 library: it has no C_GetFunctionList")
        }
        let getFunctionList = unsafe unsafeBitCast(symbol, to: CK_C_GetFunctionList.self)
        var functions: UnsafeMutablePointer<CK_FUNCTION_LIST>?
        let result = unsafe getFunctionList(&functions)
        guard result == CKR_OK, let functions = unsafe functions else {
            throw KeyError(
                .invalidArgument, "\(path) gives no list of its functions",
                cause: CryptokiFailure("C_GetFunctionList", result))
        }
        // Lists of version 3 begin with the functions of version 2, in the same order.
        let version = unsafe functions.pointee.version.major
        guard (2...3).contains(version) else {
            throw KeyError(.invalidArgument, "\(path) speaks version \(version) of PKCS#11, not 2")
        }
        return unsafe Library(functions, path: path)
    }
}
