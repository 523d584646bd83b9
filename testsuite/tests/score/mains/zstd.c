/* Compresses and decompresses, with a stream too. */
#include "zstd.h"

int main(int count, char **words) {
    static char in[1000], middle[2000], out[1000];
    in[0] = *words[0];
    size_t size = ZSTD_compress(middle, sizeof middle, in, sizeof in, count);
    size = ZSTD_decompress(out, sizeof out, middle, size);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_inBuffer from = {in, sizeof in, 0};
    ZSTD_outBuffer to = {middle, sizeof middle, 0};
    ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
    ZSTD_freeCCtx(context);
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_decompressStream(stream, &to, &from);
    ZSTD_freeDStream(stream);
    return ZSTD_isError(size) ? ZSTD_getErrorName(size)[0] : 0;
}
