/* Compresses and reads files, so that all of the library is linked. */
#include "zlib.h"

int main(int count, char **names) {
    unsigned char in[256], out[512];
    unsigned long length = sizeof out, read = sizeof in;
    gzFile file = gzopen(names[0], count > 1 ? "wb" : "rb");
    if (file) {
        gzprintf(file, "%d", count);
        gzputc(file, gzgetc(file));
        gzseek(file, 1, 0);
        gzflush(file, Z_FINISH);
        gzsetparams(file, 1, 2);
        gzclose(file);
    }
    if (compress2(out, &length, in, sizeof in, count) != Z_OK || uncompress(in, &read, out, length) != Z_OK)
        return 1;
    z_stream stream = {0};
    inflateBackInit(&stream, 15, out);
    inflateBack(&stream, Z_NULL, Z_NULL, Z_NULL, Z_NULL);
    deflateParams(&stream, 1, 2);
    deflateTune(&stream, 1, 2, 3, 4);
    inflateSync(&stream);
    inflateSetDictionary(&stream, in, 4);
    inflateCopy(&stream, &stream);
    deflateCopy(&stream, &stream);
    return (int)(adler32_combine(1, 2, 3) + crc32_combine(1, 2, 3));
}
