"""Siemens Inveon and Concorde microPET images: PET, CT and SPECT."""
