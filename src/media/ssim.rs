//! How much a picture suffered: SSIM and PSNR of the luma plane.
