"""Rate and distortion: what runs' files take in bits, and how good the pictures in them are.

In: finished runs of images. Out: for each activation a curve of bits against PSNR and SSIM on the
test images, PCA, JPEG, WebP, PNG and zlib beside it, and compare's answer at equal bits.
`files` compresses and judges, `others` has the codecs of others, `curves` what to read off them,
`study` goes from folders to all of that, `page` and `told` show it.
"""
